// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>

#include "base/beneath.h"
#include "base/file.h"
#include "base/status.h"
#include "node/runtime/apparmor.h"
#include "node/runtime/cgroups.h"
#include "node/runtime/guest_context.h"
#include "node/runtime/guest_files.h"
#include "node/runtime/guest_first_start.h"
#include "node/runtime/lxc_config.h"
#include "node/runtime/lxc_monitor.h"
#include "node/runtime/private_mounts.h"
#include "node/runtime/runtime_spec_json.h"
#include "node/runtime/runtime_verbs.h"
#include "node/runtime/user_namespace.h"
#include "node/runtime/writable_layer.h"

namespace bramble::node {
namespace {

constexpr int kStartDeadlineMs = 60'000;
// Base64 and JSON make it larger than what it holds.
constexpr size_t kMaxContextFileBytes = 4 * api::kMaxContextBytes;

// What the container is told at its first start; empty where it is told nothing.
absl::StatusOr<api::Context> ContextOf(const RuntimeSpec& spec) {
  if (spec.context.empty()) {
    return api::Context();
  }
  const auto text = ReadFile(spec.context_file, kMaxContextFileBytes);
  if (!text.ok()) {
    return absl::FailedPreconditionError(
        StrCat("container ", spec.id.str(),
               ": what it is to be told at its first start is not on "
               "this node: ",
               MessageOf(text.status())));
  }
  BRAMBLE_ASSIGN_OR_RETURN(const json::value value, ParseJson(*text, kMaxContextFileBytes));
  return api::ContextFromJson(value, "context", UnknownKeys::kIgnore);
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

int64_t NowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// What is known of the container, made to say what `spec` says.
absl::StatusOr<ContainerRecord> RecordFor(const RuntimePaths& paths, const RuntimeSpec& spec,
                                          bool& is_new) {
  auto old = ReadRecord(paths, spec.id);
  is_new = old.status().code() == absl::StatusCode::kNotFound;
  if (!old.ok() && !is_new) {
    return old.status();
  }
  ContainerRecord record;
  // A fresh layer in place of the one that was moved here would be lost data that nobody notices.
  if (!spec.layer_move.empty() && (is_new || old->layer_move != spec.layer_move)) {
    return absl::FailedPreconditionError(
        StrCat("container ", spec.id.str(), ": its writable layer has not arrived on this node"));
  }
  if (!is_new) {
    record = *std::move(old);
    if (record.layer_rebuild_count != spec.rebuild_count ||
        record.layer_image != spec.image_digest) {
      return absl::FailedPreconditionError(
          StrCat("container ", spec.id.str(), ": its writable layer was made for image ",
                 record.layer_image.substr(0, 12), ", rebuild ", record.layer_rebuild_count,
                 ": rebuild it first"));
    }
    if (record.layer_ids.first != spec.ids.first) {
      return absl::FailedPreconditionError(
          StrCat("container ", spec.id.str(), ": its files belong to ids from ",
                 record.layer_ids.first, ", not from ", spec.ids.first, ": rebuild it first"));
    }
  }
  record.spec = spec;
  record.layer_rebuild_count = spec.rebuild_count;
  record.layer_image = spec.image_digest;
  record.layer_ids = spec.ids;
  record.degraded.clear();
  return record;
}

// What is written into the container, in its user namespace: nothing that its tree holds can lead
// to what is the host's.
class GuestWork {
 public:
  static absl::StatusOr<GuestWork> Make(const ContainerRecord& record, std::string rootfs) {
    BRAMBLE_ASSIGN_OR_RETURN(api::Context context, ContextOf(record.spec));
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) {
      return absl::InternalError(StrCat("pipe: ", strerror(errno)));
    }
    GuestWork work;
    work.read_end_.Reset(fds[0]);
    work.write_end_.Reset(fds[1]);
    work.rootfs_ = std::move(rootfs);
    work.spec_ = record.spec;
    work.context_ = std::move(context);
    work.files_ = GuestFilesFor(record.spec);
    work.print_ = GuestFilesPrint(record.spec);
    work.all_ = record.guest_files != work.print_;
    return work;
  }

  // For the child, when the root is mounted.
  absl::Status Run() const {
    BRAMBLE_ASSIGN_OR_RETURN(const Fd root, OpenDirectory(rootfs_));
    BRAMBLE_ASSIGN_OR_RETURN(const GuestInit init, InspectInit(root.get()));
    const api::ContextMode mode = ContextModeOf(root.get(), spec_.context_mode);
    std::vector<GuestFile> files = files_;
    const auto add = [&files](const std::vector<GuestFile>& more) {
      files.insert(files.end(), more.begin(), more.end());
    };
    add(ContextFiles(spec_, context_));
    if (mode == api::ContextMode::kCloudInit) {
      add(SeedFiles(spec_, context_));
    }
    BRAMBLE_RETURN_IF_ERROR(WriteGuestFiles(root.get(), files, all_));
    Found found = {init.halt_signal, static_cast<int>(mode), 0, 0};
    if (mode == api::ContextMode::kMinimal) {
      BRAMBLE_ASSIGN_OR_RETURN(const FirstStart first,
                               PrepareFirstStart(root.get(), spec_.image_ids.first, context_));
      found.first_start = static_cast<int>(first.state);
      found.code = first.code;
    }
    return WriteAll(write_end_.get(), {reinterpret_cast<const char*>(&found), sizeof(found)},
                    "pipe");
  }

  // For us, when the child has run.
  absl::StatusOr<GuestInit> Finish(ContainerRecord& record) const {
    Found found = {};
    if (read(read_end_.get(), &found, sizeof(found)) != sizeof(found)) {
      return absl::InternalError("the child that writes into the container told nothing");
    }
    record.guest_files = print_;
    record.first_start = {.state = static_cast<FirstStart::State>(found.first_start),
                          .code = found.code};
    record.unused_context = UnusedBy(static_cast<api::ContextMode>(found.mode), context_);
    return GuestInit{.halt_signal = found.halt_signal};
  }

 private:
  // What the child tells.
  struct Found {
    int halt_signal;
    int mode;
    int first_start;
    int code;
  };

  GuestWork() = default;
  Fd read_end_;
  Fd write_end_;
  std::string rootfs_;
  RuntimeSpec spec_;
  api::Context context_;
  std::vector<GuestFile> files_;
  std::string print_;
  bool all_ = false;
};

struct LaunchPlace {
  const CgroupLayout& layout;
  std::string rootfs;
  std::string apparmor;
  int halt_signal = 0;
};

absl::Status Launch(const RuntimeSettings& settings, const ContainerRecord& record,
                    const LaunchPlace& at, const std::function<void()>& meanwhile) {
  MonitorSpec monitor;
  monitor.paths = settings.paths;
  monitor.id = record.spec.id;
  monitor.cgroup_root = settings.cgroup_root;
  monitor.cgroups = at.layout;
  monitor.running.started_at_ms = NowMs();
  monitor.running.halt_signal = at.halt_signal;
  LxcPlace place;
  place.rootfs = at.rootfs;
  place.seccomp_profile = settings.seccomp_profile;
  place.console_log = settings.paths.ConsoleLog(record.spec.id).string();
  place.error_log = settings.paths.ErrorLog(record.spec.id).string();
  place.cgroup_root = settings.cgroup_root;
  place.apparmor = at.apparmor;
  BRAMBLE_ASSIGN_OR_RETURN(monitor.config, LxcConfigFor(record.spec, place, at.layout));
  return StartMonitor(monitor, kStartDeadlineMs, meanwhile).status();
}

absl::StatusOr<ContainerRecord> StartStopped(const RuntimeSettings& settings,
                                             const CgroupLayout& layout, const RuntimeSpec& spec) {
  const std::string host_interface = spec.nic.has_value() ? spec.nic->host_interface : "";
  BRAMBLE_RETURN_IF_ERROR(CleanUpKernel(settings, layout, spec.id, host_interface));
  unlink(settings.paths.Exit(spec.id).c_str());
  unlink(settings.paths.ErrorLog(spec.id).c_str());
  bool is_new = false;
  BRAMBLE_ASSIGN_OR_RETURN(ContainerRecord record, RecordFor(settings.paths, spec, is_new));
  if (!Exists(spec.image_tree.string())) {
    return absl::FailedPreconditionError(StrCat("container ", spec.id.str(), ": image tree ",
                                                spec.image_tree.string(), ": not there"));
  }
  // Before the directory is opened: a descriptor stays in the namespace that it was opened in.
  BRAMBLE_RETURN_IF_ERROR(EnterPrivateMountNamespace());
  BRAMBLE_ASSIGN_OR_RETURN(const Fd directory, OpenContainerDirectory(settings.paths, spec.id));
  if (is_new) {
    BRAMBLE_RETURN_IF_ERROR(RemoveLayer(directory.get()));  // of a start that was cut off
  }
  BRAMBLE_ASSIGN_OR_RETURN(const std::string rootfs, LxcMountPoint());
  BRAMBLE_ASSIGN_OR_RETURN(const GuestWork guest, GuestWork::Make(record, rootfs));
  const auto write_guest = [&guest] { return guest.Run(); };
  BRAMBLE_ASSIGN_OR_RETURN(UserNamespace ids,
                           UserNamespace::Create(spec.image_ids.first, spec.ids, write_guest));
  BRAMBLE_RETURN_IF_ERROR(PrepareLayer(settings.paths, directory.get(), record));
  BRAMBLE_RETURN_IF_ERROR(MountRoot({directory.get(), spec.image_tree.string(), &ids, rootfs}));
  BRAMBLE_RETURN_IF_ERROR(ids.RunWork());
  BRAMBLE_ASSIGN_OR_RETURN(GuestInit init, guest.Finish(record));
  if (!spec.halt_signal.empty()) {
    BRAMBLE_ASSIGN_OR_RETURN(init.halt_signal, ParseSignal(spec.halt_signal));
  }
  const std::string apparmor = ApparmorProfileToUse("/sys");
  if (apparmor != kApparmorProfile) {
    record.degraded.push_back("apparmor");
  }
  // Seen by everybody before there is a monitor, which may outlive us; durable before the answer.
  // A power cut between the two leaves a container that nobody was told of, to be made again.
  BRAMBLE_RETURN_IF_ERROR(ReplaceRecord(settings.paths, record));
  const ContainerRecord written = record;
  absl::Status finished;
  const auto sync = [&] { finished = SyncRecord(settings.paths, spec.id); };
  BRAMBLE_RETURN_IF_ERROR(
      Launch(settings, record, {layout, rootfs, apparmor, init.halt_signal}, sync));
  if (finished.ok()) {
    finished = ApplyOptionalLimits(layout, ContainerCgroup(settings.cgroup_root, spec.id),
                                   spec.limits, record.degraded);
  }
  if (finished.ok() && !(record == written)) {
    finished = WriteRecord(settings.paths, record);
  }
  if (!finished.ok()) {
    // It never ran without its limits, or with a record that a power cut takes back.
    BRAMBLE_RETURN_IF_ERROR(EndContainer(settings, spec.id, 0));
    return finished;
  }
  return record;
}

}  // namespace

absl::StatusOr<Fd> OpenContainerDirectory(const RuntimePaths& paths, const ContainerId& id) {
  BRAMBLE_RETURN_IF_ERROR(MakeDirectories(paths.Containers(), 0700));
  const std::string path = paths.Container(id).string();
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    const absl::StatusCode code =
        errno == ENOSPC ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kInternal;
    return absl::Status(code, StrCat(path, ": ", strerror(errno)));
  }
  BRAMBLE_ASSIGN_OR_RETURN(Fd directory, OpenDirectory(path));
  if (mkdirat(directory.get(), "lower", 0700) != 0 && errno != EEXIST) {
    return absl::InternalError(StrCat(path, "/lower: ", strerror(errno)));
  }
  return directory;
}

VerbResult StartVerb(const RuntimeSettings& settings, const json::value& request) {
  BRAMBLE_ASSIGN_OR_RETURN(const RuntimeSpec spec, SpecOf(request));
  BRAMBLE_ASSIGN_OR_RETURN(const Fd lock, LockContainer(settings.paths, spec.id));
  BRAMBLE_ASSIGN_OR_RETURN(const CgroupLayout layout, ReadCgroupLayout());
  if (AwaitInit(settings.paths, spec.id, kStartDeadlineMs).has_value()) {
    BRAMBLE_RETURN_IF_ERROR(AdjustLocked(settings, spec));
    BRAMBLE_ASSIGN_OR_RETURN(const ContainerRecord record, ReadRecord(settings.paths, spec.id));
    return ToJson(Observe(settings, record, layout));
  }
  auto record = StartStopped(settings, layout, spec);
  if (!record.ok()) {
    return record.status();
  }
  return ToJson(Observe(settings, *record, layout));
}

}  // namespace bramble::node
