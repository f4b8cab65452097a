// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a node decides: which container to fetch, start, stop, adjust or delete next, from what the
// controller wants and what the runtime holds.  Pure: no I/O and no clock; events come in with the
// time, actions go out.  agent.h carries them out, a simulation can do so in virtual time.
//
// What is wanted comes from Desired messages, ordered by (epoch, generation): an older one is
// refused, a repeated one is harmless.  What was carried out is not remembered here: the runtime
// keeps with each container the definition that it was last started with, counters included, and
// so power may fail between any two steps.
//
// Only a tombstone deletes, and only once it is durable in the journal.  A container that the
// runtime holds and nobody asked for is an orphan: kept as it is and reported with its definition.
//
// A movable container runs only under a lease, and only while the lease holder lives.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/node_protocol.h"
#include "node/agent/back_off.h"
#include "node/agent/container_state.h"

namespace bramble::node {

// A container as the runtime holds it, running or not.
struct HeldContainer {
  api::NodeContainer definition;  // as last started or adjusted, counters included
  bool running = false;
  bool frozen = false;
  std::optional<WallTime> started_at;
  std::string disk_limit_mode;
  std::vector<std::string> lacking;  // as RuntimeContainer::degraded
  std::vector<api::Condition> told;  // what became of what it was told at its first start
};

enum class ActionKind { kFetch, kStart, kAdjust, kFreeze, kThaw, kStop, kRebuild, kDelete };
inline constexpr std::string_view kActionNames[] = {"fetch", "start", "adjust",  "freeze",
                                                    "thaw",  "stop",  "rebuild", "delete"};

struct Action {
  ActionKind kind = ActionKind::kStart;
  ContainerId id;                // of all but kFetch
  api::NodeContainer container;  // kStart, kAdjust, kRebuild: as wanted; kFetch: who asks first
  std::chrono::milliseconds grace{0};  // kStop: until the kill; 0: at once
};

// What a successful kStart tells, and of kAdjust all but the time, if the mode is known.
struct Started {
  std::optional<WallTime> started_at;
  std::string disk_limit_mode;
  std::vector<std::string> lacking;  // as RuntimeContainer::degraded
  std::vector<api::Condition> told;  // as HeldContainer's; of kStart
};

// How a container's init ended.
struct Ended {
  std::optional<int64_t> code;  // 128 + n for signal n; nullopt: nobody watched
  bool reboot = false;          // it asked to be started again
};

enum class Acceptance {
  kApplied,  // something changed: journal it
  kDuplicate,
  kOlder,      // refused
  kNeedsFull,  // a delta on a base that is not ours
};

// What must survive a restart of the agent, and not a boot: kept in the run directory.
struct ContainerNotes {
  std::optional<int64_t> exit_code;
  uint64_t restarts = 0;
  uint64_t failures = 0;  // in a row
  std::optional<BootTime> retry_at;
  bool gave_up = false;
  std::string reason;
  bool started = false;     // it ran when these notes were written
  bool ran = false;         // its init was started on the writable layer that it has now
  uint64_t generation = 0;  // of the desired state that these notes belong to

  friend bool operator==(const ContainerNotes&, const ContainerNotes&) = default;
};

class AgentCore {
 public:
  struct Options {
    size_t max_starts = 4;    // at once; of fetches, half
    size_t max_actions = 16;  // at once, all kinds
    BackOff back_off;
    std::chrono::milliseconds stop_after_lease{30'000};
    // How long movable containers run on when the lease holder is gone, for it to come back.
    std::chrono::milliseconds holder_absence{15'000};
    // A reboot after less than this counts as a failure.
    std::chrono::milliseconds quick_reboot{10'000};
    // A lease this near its end starts nothing any more.
    std::chrono::milliseconds lease_margin{2'000};
  };

  explicit AgentCore(Options options) : options_(options) {}

  // ---- at start, before all else: what journal, run directory and runtime remember
  void Restore(api::Version version, std::vector<api::NodeContainer> desired,
               std::vector<ContainerId> tombstones);
  void RestoreNotes(const std::map<ContainerId, ContainerNotes>& notes);
  void Recover(std::vector<HeldContainer> held, std::set<std::string> images, BootTime now);

  // ---- events
  Acceptance OnDesired(const api::Desired& desired, BootTime now);
  // The journal holds `version` durably: tombstones up to it may be carried out.
  void OnJournaled(api::Version version);
  void OnDone(const ContainerId& id, ActionKind kind, const absl::Status& status,
              const Started& started, BootTime now);
  void OnFetched(const std::string& digest, const absl::Status& status, BootTime now);
  void OnExited(const ContainerId& id, Ended ended, BootTime now);
  // A writable layer comes in: from now on a tombstone has something to remove.
  absl::StatusOr<api::NodeContainer> BeginImport(const ContainerId& id, const std::string& move);
  void OnImages(std::set<std::string> images) { images_ = std::move(images); }
  // The contexts that are here, by id: a container does not start without its own.
  void OnContexts(std::set<std::string> contexts) { contexts_ = std::move(contexts); }
  // What became of what a container was told at its first start.
  void OnTold(const ContainerId& id, std::vector<api::Condition> told);
  // A session with the controller begins.  After a lapse of the lease a movable container may run
  // elsewhere by now: none is started before the whole desired state has come, whatever the lease.
  void OnSession(BootTime now);
  // Movable containers may run until `until`.
  void OnLease(BootTime until, BootTime now);
  void OnLeaseHolder(bool present, BootTime now);
  void set_stop_after_lease(std::chrono::milliseconds stop) { options_.stop_after_lease = stop; }

  // What is to be done now.  Call after every event and when NextWake() has come; each action is
  // given once and answered by OnDone or OnFetched.
  std::vector<Action> TakeActions(BootTime now);
  // When TakeActions may have something new without an event.
  std::optional<BootTime> NextWake(BootTime now) const;

  // What changed since the last report; all of it when `full`.  Nullopt: nothing.
  std::optional<api::Report> TakeReport(bool full, BootTime now);

  // ---- what is kept
  api::Version version() const { return version_; }
  std::vector<api::NodeContainer> desired() const;
  std::vector<ContainerId> tombstones() const;
  std::map<ContainerId, ContainerNotes> notes() const;
  // Movable containers that run or may run: what the lease holder must know.
  std::vector<ContainerId> movable_running() const;
  std::vector<api::ObservedContainer> Observe(BootTime now) const;
  std::set<std::string> images_in_use() const;
  // The contexts that containers here have, or are to have.
  std::set<std::string> contexts_in_use() const;
  std::optional<BootTime> lease_until() const { return lease_until_; }
  std::vector<api::Condition> conditions() const;
  bool busy() const { return actions_in_flight_ > 0 || !fetching_.empty(); }

 private:
  struct Entry {
    std::optional<api::NodeContainer> desired;
    std::optional<api::Version> tombstone;  // the version that ordered it
    std::optional<HeldContainer> held;
    Phase phase = Phase::kStopped;
    std::optional<Action> pending;  // given out and not answered
    bool may_exist = false;         // in the runtime: a start was tried
    bool exited_in_stop = false;
    std::optional<BootTime> started;     // since when it runs, for the back-off
    std::optional<BootTime> not_before;  // a failed action is not repeated earlier
    ContainerNotes notes;
    bool noted = false;  // the notes are of an earlier agent of this boot
    uint64_t settled_generation = 0;
  };
  // What the entry needs next; nullopt: nothing, or nothing now.
  struct Step {
    PhaseEvent event;
    ActionKind action;
    std::chrono::milliseconds grace{0};
  };

  std::optional<Step> NextStep(Entry& entry, BootTime now);
  std::optional<Step> StepToRunning(Entry& entry, BootTime now);
  std::optional<Step> StepToDeleted(const Entry& entry) const;
  bool LeaseCovers(const Entry& entry, BootTime now) const;
  bool LeaseAllowsStart(const Entry& entry, BootTime now) const;
  bool EarlierOrderPending(const Entry& entry) const;
  bool HasContext(const api::NodeContainer& container) const {
    return container.context.empty() || contexts_.contains(container.context);
  }
  size_t CountIn(Phase phase) const;
  void Apply(Entry& entry, PhaseEvent event);
  bool Put(const api::NodeContainer& container);
  bool Tombstone(const ContainerId& id);
  void Failed(Entry& entry, const Action& action, const absl::Status& status, BootTime now);
  void Exited(Entry& entry, Ended ended, BootTime now);
  void Succeeded(Entry& entry, const Action& action, const Started& started, BootTime now);
  void WaitOrGiveUp(Entry& entry, BootTime now);
  void RetryWhenDue(Entry& entry, BootTime now);
  Action Begin(const ContainerId& id, Entry& entry, const Step& step);
  void Settle(Entry& entry);
  void SettleGone();
  api::ObservedContainer ObserveOne(const ContainerId& id, const Entry& entry, BootTime now) const;

  Options options_;
  api::Version version_;
  api::Version durable_;
  std::map<ContainerId, Entry> entries_;
  std::set<std::string> images_;
  std::set<std::string> contexts_;
  std::set<std::string> fetching_;
  std::optional<BootTime> lease_until_;
  bool needs_sync_ = true;
  bool holder_present_ = false;
  std::optional<BootTime> holder_gone_since_;
  // Since when this agent is here, until the lease holder has answered it once: meanwhile what runs
  // is the holder's to end, who knows the lease, and not ours, who do not.
  std::optional<BootTime> recovered_;
  size_t actions_in_flight_ = 0;

  std::map<ContainerId, api::ObservedContainer> reported_;
  std::set<std::string> reported_images_;
  api::Version reported_version_;
  std::set<ContainerId> removed_;  // tombstones carried out and not yet reported
};

// Whether a running container of `held` must be stopped and started again to be as `wanted`.
bool NeedsRestart(const api::NodeContainer& held, const api::NodeContainer& wanted);
// Whether it can be made so while it runs.
bool NeedsAdjust(const api::NodeContainer& held, const api::NodeContainer& wanted);
bool NeedsRebuild(const api::NodeContainer& held, const api::NodeContainer& wanted);

}  // namespace bramble::node
