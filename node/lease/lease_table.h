// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bramble::node {

// Which movable containers run here, until when they may, and what is sent to them when.  Pure:
// times are CLOCK_BOOTTIME in nanoseconds, `handle` is whatever stands for the container (a pidfd).
//
// A container that is being started has no handle yet, only its cgroup, `group`.  It has nothing to
// halt for: everything in the group is killed from the deadline on.  And again, for as long as it
// is held, since whoever starts it may be late, and nobody is left to stop him.
//
// Once a container was told to halt it is killed `stop_ms` later, also when the lease was renewed
// meanwhile: it is on its way down, and the agent starts it again.
class LeaseTable {
 public:
  static constexpr int kNoHandle = -1;
  // How often a group is looked through: soon for as long as a start may take, then now and then.
  static constexpr int64_t kSweepNs = 250'000'000;
  static constexpr int64_t kSweepSoonForNs = 180'000'000'000;
  static constexpr int64_t kSweepLaterNs = 5'000'000'000;

  struct Signal {
    int handle;
    int signal;
    std::string group = {};  // kNoHandle: to all that is in it
  };

  // Replaces what was held under `id`; gives the handle that is not needed any more.
  std::optional<int> Hold(std::string_view id, int handle, int halt_signal,
                          std::string_view group = "");
  std::optional<int> Release(std::string_view id);
  void Begin();
  // The handles of all that were not held since Begin.
  std::vector<int> End();
  void Renew(int64_t deadline_ns, int64_t stop_ns);
  // The lease is over now, whatever was renewed.
  void Expire(int64_t now_ns);

  // What is to be sent now; each is given once.
  std::vector<Signal> Due(int64_t now_ns);
  // When Due may have something; nullopt: never.
  std::optional<int64_t> NextWake() const;

  // What a holder that is started anew goes on with, as text: the deadline, and what is known by
  // its group.  A handle cannot be kept: without an agent that brings it anew, what was held is not
  // told to halt, only killed, when its stop time is over.
  std::string Format() const;
  // Takes what Format gave; false: it is no such text, and nothing was taken.
  bool Restore(std::string_view text);

  int64_t deadline_ns() const { return deadline_ns_; }
  size_t size() const { return entries_.size(); }
  std::vector<int> Handles() const;

 private:
  struct Entry {
    std::string id;
    int handle;
    int halt_signal;
    std::string group;
    bool restored = false;
    bool named = true;    // since Begin
    int64_t kill_ns = 0;  // 0: not told to halt
    bool killed = false;
    int64_t sweep_ns = 0;  // when its group is next looked through, once it is to be killed
  };
  static void KillWhenDue(Entry& entry, int64_t now_ns, std::vector<Signal>& signals);

  std::vector<Entry> entries_;
  int64_t deadline_ns_ = 0;
  int64_t stop_ns_ = 30'000'000'000;
};

}  // namespace bramble::node
