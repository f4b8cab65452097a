// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/container_record.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/file.h"
#include "base/json.h"
#include "base/status.h"
#include "node/runtime/runtime_spec_json.h"

#include "absl/strings/str_split.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxRecordBytes = 1 << 20;
constexpr size_t kMaxProcBytes = 64 * 1024;
constexpr int kLockWaitMs = 15'000;
constexpr int kLockStepMs = 5;

// The beginning of a small file of /proc; read many times while a container starts.
std::string ReadProc(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char buffer[4096];
  const ssize_t n = fd.valid() ? read(fd.get(), buffer, sizeof(buffer)) : 0;
  return std::string(buffer, n > 0 ? static_cast<size_t>(n) : 0);
}

// Whether the open file is the one that `path` names.
bool IsNamed(int fd, const std::filesystem::path& path) {
  struct stat opened {};
  struct stat named {};
  return fstat(fd, &opened) == 0 && lstat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

void SleepMs(int ms) {
  const timespec time = {ms / 1000, (ms % 1000) * 1'000'000L};
  nanosleep(&time, nullptr);
}

}  // namespace

std::string EncodeRecord(const ContainerRecord& record) {
  json::array degraded;
  for (const std::string& what : record.degraded) {
    degraded.push_back(json::string(what));
  }
  const json::object object = {
      {"version", 1},
      {"spec", ToJson(record.spec)},
      {"layer_rebuild_count", record.layer_rebuild_count},
      {"layer_image", record.layer_image},
      {"layer_first_id", record.layer_ids.first},
      {"layer_move", record.layer_move},
      {"disk_mode", record.disk_mode},
      {"disk_size_bytes", record.disk_size.count},
      {"guest_files", record.guest_files},
      {"degraded", std::move(degraded)},
      {"first_start", ToJson(record.first_start)},
      {"unused_context", json::array(record.unused_context.begin(), record.unused_context.end())}};
  return json::serialize(object);
}

absl::StatusOr<ContainerRecord> DecodeRecord(std::string_view text) {
  BRAMBLE_ASSIGN_OR_RETURN(const json::value value, ParseJson(text, kMaxRecordBytes));
  ContainerRecord record;
  JsonObjectReader reader(value, "record");
  reader.Int("version", {.min = 1, .max = 1});
  if (const json::value* spec = reader.Find("spec"); spec != nullptr) {
    BRAMBLE_ASSIGN_OR_RETURN(record.spec, RuntimeSpecFromJson(*spec, "record.spec"));
  } else {
    reader.Fail("spec", "missing");
  }
  record.layer_rebuild_count = static_cast<uint64_t>(reader.Int("layer_rebuild_count", {.min = 0}));
  record.layer_image = reader.String("layer_image");
  record.layer_ids.first =
      static_cast<uint32_t>(reader.Int("layer_first_id", {.min = 0, .max = UINT32_MAX}));
  record.layer_move = reader.OptionalString("layer_move", {.max = 64}).value_or("");
  record.disk_mode = reader.String("disk_mode");
  record.disk_size.count = reader.Int("disk_size_bytes", {.min = 0});
  record.guest_files = reader.String("guest_files", {.max = 65536, .allow_control = true});
  record.degraded = reader.StringList("degraded", 16);
  record.first_start = FirstStartField(reader, "first_start");
  record.unused_context = reader.StringList("unused_context", 128);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return record;
}

absl::StatusOr<ContainerRecord> ReadRecord(const RuntimePaths& paths, const ContainerId& id) {
  auto text = ReadFile(paths.Record(id), kMaxRecordBytes);
  if (!text.ok()) {
    if (text.status().code() == absl::StatusCode::kNotFound) {
      return absl::NotFoundError(StrCat("container ", id.str(), ": not on this node"));
    }
    return text.status();
  }
  auto record = DecodeRecord(*text);
  if (!record.ok() || record->spec.id != id) {
    return absl::DataLossError(StrCat("container ", id.str(), ": its record is damaged: ",
                                      record.ok() ? "another id" : MessageOf(record.status())));
  }
  return record;
}

absl::Status WriteRecord(const RuntimePaths& paths, const ContainerRecord& record) {
  BRAMBLE_RETURN_IF_ERROR(ReplaceRecord(paths, record));
  return SyncRecord(paths, record.spec.id);
}

absl::Status ReplaceRecord(const RuntimePaths& paths, const ContainerRecord& record) {
  return ReplaceFile(paths.Record(record.spec.id), EncodeRecord(record), 0600);
}

absl::Status SyncRecord(const RuntimePaths& paths, const ContainerId& id) {
  return SyncDirectoryOf(paths.Record(id));
}

absl::Status WriteRunning(const RuntimePaths& paths, const ContainerId& id,
                          const Running& running) {
  const json::object object = {{"monitor_pid", running.monitor_pid},
                               {"monitor_start_ticks", running.monitor_start_ticks},
                               {"init_pid", running.init_pid},
                               {"init_start_ticks", running.init_start_ticks},
                               {"started_at_ms", running.started_at_ms},
                               {"halt_signal", running.halt_signal}};
  // Not synced: it tells nothing after a power cut.
  const std::string path = paths.Run(id).string();
  const std::string fresh = StrCat(path, ".", getpid());
  BRAMBLE_ASSIGN_OR_RETURN(const Fd file,
                           OpenFile(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  BRAMBLE_RETURN_IF_ERROR(WriteAll(file.get(), json::serialize(object), fresh));
  if (rename(fresh.c_str(), path.c_str()) != 0) {
    return absl::InternalError(StrCat(path, ": ", strerror(errno)));
  }
  return absl::OkStatus();
}

std::optional<Running> FindRunning(const RuntimePaths& paths, const ContainerId& id) {
  const auto text = ReadFile(paths.Run(id), kMaxProcBytes);
  if (!text.ok()) {
    return std::nullopt;
  }
  const auto value = ParseJson(*text);
  if (!value.ok()) {
    return std::nullopt;
  }
  Running running;
  JsonObjectReader reader(*value, "run");
  running.monitor_pid = static_cast<pid_t>(reader.Int("monitor_pid"));
  running.monitor_start_ticks = static_cast<uint64_t>(reader.Int("monitor_start_ticks"));
  running.init_pid = static_cast<pid_t>(reader.Int("init_pid"));
  running.init_start_ticks = static_cast<uint64_t>(reader.Int("init_start_ticks"));
  running.started_at_ms = reader.Int("started_at_ms");
  running.halt_signal = static_cast<int>(reader.Int("halt_signal"));
  if (!reader.Finish().ok() || running.monitor_pid <= 0 ||
      ProcessStartTicks(running.monitor_pid) != running.monitor_start_ticks) {
    return std::nullopt;
  }
  if (running.init_pid == 0 || ProcessStartTicks(running.init_pid) != running.init_start_ticks) {
    running.init_pid = FirstChild(running.monitor_pid);
    running.init_start_ticks = running.init_pid > 0 ? ProcessStartTicks(running.init_pid) : 0;
  }
  return running;
}

uint64_t ProcessStartTicks(pid_t pid) {
  const std::string stat = ReadProc(StrCat("/proc/", pid, "/stat"));
  // The second field is the name in parentheses and may hold anything.
  const size_t end = stat.rfind(')');
  if (end == std::string::npos) {
    return 0;
  }
  const std::vector<std::string> fields =
      absl::StrSplit(stat.substr(end + 1), ' ', absl::SkipEmpty());
  constexpr size_t kState = 0;       // field 3
  constexpr size_t kStartTime = 19;  // field 22
  if (fields.size() <= kStartTime || fields[kState] == "Z" || fields[kState] == "X") {
    return 0;
  }
  return strtoull(fields[kStartTime].c_str(), nullptr, 10);
}

pid_t FirstChild(pid_t pid) {
  const std::string children = ReadProc(StrCat("/proc/", pid, "/task/", pid, "/children"));
  return static_cast<pid_t>(strtol(children.c_str(), nullptr, 10));
}

absl::StatusOr<Fd> LockContainer(const RuntimePaths& paths, const ContainerId& id) {
  BRAMBLE_RETURN_IF_ERROR(MakeDirectories(paths.Runtime(), 0700));
  const std::filesystem::path path = paths.Lock(id);
  Fd lock;
  for (int waited = 0; waited <= kLockWaitMs; waited += kLockStepMs) {
    if (waited > 0) {
      SleepMs(kLockStepMs);
    }
    if (!lock.valid()) {
      BRAMBLE_ASSIGN_OR_RETURN(lock, OpenFile(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
    }
    if (flock(lock.get(), LOCK_EX | LOCK_NB) == 0) {
      if (IsNamed(lock.get(), path)) {
        return lock;
      }
      lock.Reset();  // whoever had it has deleted it: the next one's lock is another file
    } else if (errno != EWOULDBLOCK && errno != EINTR) {
      return absl::InternalError(StrCat("container ", id.str(), ": lock: ", strerror(errno)));
    }
  }
  return absl::UnavailableError(
      StrCat("container ", id.str(), ": another operation on it is under way"));
}

void AwaitQuiet(const RuntimePaths& paths, const ContainerId& id) {
  for (int waited = 0; waited < kLockWaitMs; waited += kLockStepMs) {
    const auto lock = OpenFile(paths.Lock(id), O_RDWR | O_NOFOLLOW);
    if (!lock.ok() || flock(lock->get(), LOCK_EX | LOCK_NB) == 0 ||
        FindRunning(paths, id).has_value()) {
      return;
    }
    SleepMs(kLockStepMs);
  }
}

}  // namespace bramble::node
