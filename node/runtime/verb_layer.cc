// SPDX-License-Identifier: Apache-2.0

// The writable layer of a stopped container, out of this node and into it.  What reads and writes
// its files is bramble-unpack, without privileges.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/beneath.h"
#include "base/file.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "node/runtime/guest_files.h"
#include "node/runtime/private_mounts.h"
#include "node/runtime/runtime_verbs.h"
#include "node/runtime/writable_layer.h"

namespace bramble::node {
namespace {

constexpr int kUpperFd = 3;
constexpr int kResultFd = 4;
constexpr size_t kMaxAnswerBytes = 128 * 1024;
constexpr uint32_t kNoContainersIds = 65536;

// The program beside ours.
absl::StatusOr<std::string> UnpackProgram() {
  char path[4096];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof(path));
  if (size <= 0) {
    return absl::InternalError(StrCat("/proc/self/exe: ", strerror(errno)));
  }
  const std::filesystem::path own(std::string(path, static_cast<size_t>(size)));
  return (own.parent_path() / "bramble-unpack").string();
}

absl::StatusOr<json::value> ReadAnswer(int file, const ExitStatus& exit) {
  std::string text(kMaxAnswerBytes, '\0');
  const ssize_t size = pread(file, text.data(), text.size(), 0);
  text.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
  absl::StatusOr<json::value> value = ParseJson(text);
  if (!value.ok()) {
    return absl::InternalError(StrCat("bramble-unpack ", exit.ToString()));
  }
  JsonObjectReader reader(*value, "bramble-unpack");
  if (const auto code = reader.OptionalInt("code", {.min = 1, .max = 16})) {
    const std::string message = reader.String("message", {.max = 65536, .allow_control = true});
    return absl::Status(static_cast<absl::StatusCode>(*code), message);
  }
  return value;
}

// Standard input and output are the verb's.
absl::StatusOr<json::value> RunHelper(const char* verb, int upper, uint32_t first_id) {
  BRAMBLE_ASSIGN_OR_RETURN(const std::string program, UnpackProgram());
  const Fd answer(memfd_create("answer", MFD_CLOEXEC));
  if (!answer.valid()) {
    return absl::ResourceExhaustedError(StrCat("answer: ", strerror(errno)));
  }
  ProcessSpec spec;
  spec.argv = {program,          verb,          "--upper-fd",     StrCat(kUpperFd), "--first-id",
               StrCat(first_id), "--result-fd", StrCat(kResultFd)};
  spec.in = Stdio::Inherit();
  spec.out = Stdio::Inherit();
  spec.err = Stdio::Inherit();
  spec.fds = {{upper, kUpperFd}, {answer.get(), kResultFd}};
  BRAMBLE_ASSIGN_OR_RETURN(Process process, Process::Spawn(spec));
  BRAMBLE_ASSIGN_OR_RETURN(const ExitStatus exit, process.Wait());
  return ReadAnswer(answer.get(), exit);
}

absl::StatusOr<Fd> OpenUpper(int directory) {
  return OpenBeneath(directory, "layer/upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

// Of a container that was never started here: a layer with nothing in it.
VerbResult ExportNothing(const RuntimeSettings& settings, const ContainerId& id) {
  BRAMBLE_RETURN_IF_ERROR(MakeDirectories(settings.paths.Runtime(), 0700));
  const std::string path = StrCat(settings.paths.Runtime().string(), "/", id.str(), ".nothing");
  if (mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
    return absl::InternalError(StrCat(path, ": ", strerror(errno)));
  }
  if (lchown(path.c_str(), kNoContainersIds, kNoContainersIds) != 0) {
    return absl::InternalError(StrCat(path, ": ", strerror(errno)));
  }
  BRAMBLE_ASSIGN_OR_RETURN(const Fd empty, OpenDirectory(path));
  rmdir(path.c_str());
  BRAMBLE_RETURN_IF_ERROR(TellStarted(settings));
  return RunHelper("pack-layer", empty.get(), kNoContainersIds);
}

absl::Status RefuseRunning(const RuntimeSettings& settings, const ContainerId& id) {
  return FindRunning(settings.paths, id).has_value()
             ? absl::FailedPreconditionError(StrCat(
                   "container ", id.str(), ": runs: its layer moves only when it is stopped"))
             : absl::OkStatus();
}

absl::StatusOr<json::value> ImportInto(const RuntimeSettings& settings, ContainerRecord& record) {
  BRAMBLE_RETURN_IF_ERROR(EnterPrivateMountNamespace());
  BRAMBLE_ASSIGN_OR_RETURN(const Fd directory,
                           OpenContainerDirectory(settings.paths, record.spec.id));
  // What is here is older than what comes, or of a try that was cut off.  Without its record first:
  // from here on it is nothing.
  if (unlink(settings.paths.Record(record.spec.id).c_str()) != 0 && errno != ENOENT) {
    return absl::InternalError(
        StrCat(settings.paths.Record(record.spec.id).string(), ": ", strerror(errno)));
  }
  BRAMBLE_RETURN_IF_ERROR(RemoveLayer(directory.get()));
  BRAMBLE_RETURN_IF_ERROR(PrepareLayer(settings.paths, directory.get(), record));
  BRAMBLE_ASSIGN_OR_RETURN(Fd upper, OpenUpper(directory.get()));
  BRAMBLE_RETURN_IF_ERROR(TellStarted(settings));
  absl::StatusOr<json::value> answer =
      RunHelper("unpack-layer", upper.get(), record.spec.ids.first);
  if (!answer.ok()) {
    upper.Reset();
    Unmount(directory.get(), "layer");
    const absl::Status removed = RemoveLayer(directory.get());
    return removed.ok() ? answer.status()
                        : Annotate(answer.status(), StrCat("and ", MessageOf(removed)));
  }
  return answer;
}

}  // namespace

VerbResult ExportVerb(const RuntimeSettings& settings, const json::value& request) {
  BRAMBLE_ASSIGN_OR_RETURN(const ContainerId id, IdOf(request));
  BRAMBLE_ASSIGN_OR_RETURN(const Fd lock, LockContainer(settings.paths, id));
  BRAMBLE_RETURN_IF_ERROR(RefuseRunning(settings, id));
  absl::StatusOr<ContainerRecord> record = ReadRecord(settings.paths, id);
  if (absl::IsNotFound(record.status())) {
    return ExportNothing(settings, id);
  }
  BRAMBLE_RETURN_IF_ERROR(record.status());
  BRAMBLE_RETURN_IF_ERROR(EnterPrivateMountNamespace());
  BRAMBLE_ASSIGN_OR_RETURN(const Fd directory, OpenDirectory(settings.paths.Container(id)));
  BRAMBLE_RETURN_IF_ERROR(PrepareLayer(settings.paths, directory.get(), *record));
  BRAMBLE_ASSIGN_OR_RETURN(const Fd upper, OpenUpper(directory.get()));
  BRAMBLE_RETURN_IF_ERROR(TellStarted(settings));
  return RunHelper("pack-layer", upper.get(), record->layer_ids.first);
}

VerbResult ImportVerb(const RuntimeSettings& settings, const json::value& request) {
  BRAMBLE_ASSIGN_OR_RETURN(const RuntimeSpec spec, SpecOf(request));
  if (spec.layer_move.empty()) {
    return absl::InvalidArgumentError("request.spec.layer_move: empty");
  }
  BRAMBLE_ASSIGN_OR_RETURN(const Fd lock, LockContainer(settings.paths, spec.id));
  BRAMBLE_RETURN_IF_ERROR(RefuseRunning(settings, spec.id));
  const absl::StatusOr<ContainerRecord> old = ReadRecord(settings.paths, spec.id);
  if (old.ok() && old->layer_move == spec.layer_move) {
    return absl::AlreadyExistsError(StrCat("container ", spec.id.str(), ": its layer is here"));
  }
  ContainerRecord record;
  record.spec = spec;
  record.layer_rebuild_count = spec.rebuild_count;
  record.layer_image = spec.image_digest;
  record.layer_ids = spec.ids;
  record.layer_move = spec.layer_move;
  BRAMBLE_ASSIGN_OR_RETURN(const json::value answer, ImportInto(settings, record));
  JsonObjectReader reader(answer, "bramble-unpack");
  if (reader.Int("entries", {.min = 0}) > 1) {
    // It ran: what we write into a new container is in it, as the container may have changed it.
    record.guest_files = GuestFilesPrint(spec);
  }
  BRAMBLE_RETURN_IF_ERROR(WriteRecord(settings.paths, record));
  return answer;
}

}  // namespace bramble::node
