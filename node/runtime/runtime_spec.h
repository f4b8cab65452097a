// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the agent tells the runtime of a container, and what the runtime sees of it.  Plain values;
// their JSON (runtime_spec_json.h) is what bramble-runtime reads, prints and keeps beside each
// container.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/ip.h"
#include "base/strings.h"
#include "base/units.h"

#include "absl/status/status.h"

namespace bramble::node {

// Ids of the host: `first` is root inside.
struct IdRange {
  static constexpr uint32_t kCount = 65536;
  uint32_t first = 0;
  uint32_t count = kCount;

  friend bool operator==(const IdRange&, const IdRange&) = default;
};

struct RuntimeLimits {
  Bytes memory;              // 0: none
  Bytes swap;                // beyond memory; 0: no swap when memory is limited
  MilliCpu cpu;              // 0: none
  int64_t cpu_weight = 100;  // 1 to 10000, as cgroup v2's cpu.weight
  int64_t pids = 1024;       // 0: none
  Bytes disk;                // of the writable layer; 0: none

  friend bool operator==(const RuntimeLimits&, const RuntimeLimits&) = default;
};

// A veth whose host end is a port of `bridge`.  The address is set before init runs.
struct RuntimeNic {
  std::string bridge;
  std::string host_interface;  // at most 15 bytes
  std::string mac;             // "02:42:ac:10:00:40"
  Ipv4Interface address;       // "172.16.0.64/24"
  Ipv4 gateway;                // empty: none
  std::vector<Ipv4> dns;       // at most 3
  std::string search_domain;
  int mtu = 0;  // 0: the bridge's
  // Beside `address`, as single ones; whoever starts the container keeps them on while it runs.
  std::vector<Ipv4> floating;

  friend bool operator==(const RuntimeNic&, const RuntimeNic&) = default;
};

struct RuntimeSpec {
  ContainerId id;
  ContainerName name;
  ProjectName project;
  std::string hostname;  // a DNS label
  uint64_t generation = 1;
  uint64_t restart_count = 0;
  uint64_t rebuild_count = 0;
  std::string layer_move;            // the move that brought its writable layer; empty: none
  std::string image_digest;          // 64 hexadecimal digits
  std::filesystem::path image_tree;  // the unpacked tree; see node/images/image_cache.h
  IdRange image_ids;                 // who owns the tree
  IdRange ids;                       // the container's; shared with no other container
  RuntimeLimits limits;
  std::optional<RuntimeNic> nic;  // none: loopback only
  std::map<std::string, std::string> environment;
  // What it is told at its first start: its id, and the file on this node that holds it as
  // api/context.h has it; empty: nothing.  It never changes.
  std::string context;
  std::filesystem::path context_file;
  std::string context_mode;  // "none", "minimal", "cloud-init"; empty: as its tree shows
  // What asks init to end.  Empty: SIGPWR, or what the image's init is known to want
  // (systemd: SIGRTMIN+3).
  std::string halt_signal;
  std::chrono::seconds stop_grace{10};
  // The agent's own, kept beside the container and given back by List; at most kMaxNoteBytes.
  std::string note;

  friend bool operator==(const RuntimeSpec&, const RuntimeSpec&) = default;
};
inline constexpr size_t kMaxNoteBytes = 128 * 1024;
inline constexpr Bytes kMaxFileTransfer{int64_t{1} << 30};  // of one push or pull

// What a command in a frozen container answers: it would wait for ever.
inline absl::Status FrozenError(const std::string& name) {
  return absl::FailedPreconditionError(
      StrCat("container \"", name,
             "\" is frozen: nothing runs in it until it is thawed by "
             "`bramble container start ",
             name, "`"));
}

enum class RuntimeState { kStopped, kRunning, kFrozen };
inline constexpr std::string_view kRuntimeStateNames[] = {"stopped", "running", "frozen"};

// How the init of a container ended.
struct RuntimeExit {
  int code = 0;    // meaningless when signal is not 0
  int signal = 0;  // SIGHUP: init called reboot(2) to restart; SIGINT: to halt

  friend bool operator==(const RuntimeExit&, const RuntimeExit&) = default;
};

// What became of the scripts of a minimal first start.
struct FirstStart {
  enum class State {
    kNone,    // there are none
    kDue,     // they run, or are about to
    kEnded,   // with `code`, that of the first that failed
    kCutOff,  // the container ended before they did: they are not run again
  };
  State state = State::kNone;
  int code = 0;

  friend bool operator==(const FirstStart&, const FirstStart&) = default;
};
inline constexpr std::string_view kFirstStartNames[] = {"none", "due", "ended", "cut-off"};

inline constexpr char kDiskModeProjectQuota[] = "project-quota";
inline constexpr char kDiskModeLoopFile[] = "loop-file";
inline constexpr char kDiskModeNone[] = "none";

// A container as it is.
struct RuntimeContainer {
  RuntimeSpec spec;  // as last started or adjusted; only its id when `broken` says so
  RuntimeState state = RuntimeState::kStopped;
  pid_t init_pid = 0;             // 0 unless it runs
  uint64_t init_start_ticks = 0;  // of /proc/PID/stat, field 22: with the pid, names one process
  // Of the process that is its parent and gathers its exit: it ends after init, and a restart from
  // inside (reboot) changes init, not it.
  pid_t monitor_pid = 0;
  uint64_t monitor_start_ticks = 0;
  std::optional<WallTime> started_at;
  std::string disk_mode;                    // one of kDiskMode…
  std::vector<std::string> degraded;        // what this kernel could not give: "apparmor", "swap"
  FirstStart first_start;                   // as it was when it was last started
  std::vector<std::string> unused_context;  // what of its context says nothing to its image
  std::string broken;                       // why its files cannot be used; empty: they can
};

// How a container's init ended, told once.
struct RuntimeExitEvent {
  ContainerId id;
  pid_t init_pid = 0;
  std::optional<RuntimeExit> exit;  // nullopt: not known
};

struct RuntimeUsage {
  ContainerId id;
  Bytes memory;
  Bytes swap;
  std::chrono::microseconds cpu_time{0};
  int64_t pids = 0;
  Bytes disk;  // of the writable layer, where counting it is cheap; 0: not known
};

}  // namespace bramble::node
