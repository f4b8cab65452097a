// SPDX-License-Identifier: Apache-2.0
#pragma once

// Carries out what AgentCore decides: calls runtime and images, writes the journal, tells the lease
// holder, and gives the results back.  Everything here runs on the loop; it blocks nowhere.
//
//   uplink ── OnDesired, OnLease ──>  Agent  ── reports, when changed() is set ──> uplink
//                                       │
//              runtime, images, journal (on a lane), lease holder

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/lane.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/timer.h"
#include "node/agent/agent_core.h"
#include "node/agent/runtime_mapping.h"
#include "node/images/image_cache.h"
#include "node/journal/journal.h"
#include "node/network/container_network.h"
#include "node/runtime/container_access.h"
#include "node/runtime/container_runtime.h"

namespace bramble::node {

// What a node fetches from its controller.
class ImageSource {
 public:
  virtual ~ImageSource() = default;
  // Writes the archive of `digest` to `path`, going on where an earlier try left off.
  // kUnavailable: no controller is connected.
  virtual asio::awaitable<absl::Status> Fetch(std::string digest, Bytes size,
                                              std::filesystem::path path) = 0;
  // What was fetched is unpacked, or could not be: the source need not keep it for others any more.
  virtual void Release(const std::string& digest) = 0;
  // What a container is told at its first start, as api/context.h has it.  kNotFound: there is no
  // such context, or it is not for this node.
  virtual asio::awaitable<absl::StatusOr<std::string>> FetchContext(std::string id) = 0;
};

// Who makes sure that movable containers end with their lease, should the agent hang.
class LeaseGuard {
 public:
  struct Protected {
    ContainerId id;
    pid_t init_pid = 0;  // 0: not known, it is about to be started
    uint64_t init_start_ticks = 0;
    int halt_signal = 0;
    std::string group;  // the cgroup directory that its processes are in, from the first on
  };
  virtual ~LeaseGuard() = default;
  // The whole set, and until when: told whenever one of them changes.
  virtual void Protect(std::vector<Protected> containers, std::optional<BootTime> until,
                       std::chrono::milliseconds stop) = 0;
  // Resumes when it has taken note of what Protect told last.  kUnavailable: it does not answer.
  virtual asio::awaitable<absl::Status> Confirm() = 0;
};

class Agent {
 public:
  struct Parts {
    asio::io_context& loop;
    const Clock& clock;
    ContainerRuntime& runtime;
    ContainerAccess& access;
    ImageCache& images;
    ImageSource& source;
    LeaseGuard& leases;
    ContainerNetwork& network;
    Journal& journal;
    Lane& disk;  // where the journal is written
    Logger log;
  };
  struct Options {
    AgentCore::Options core;
    std::string bridge = "br0";
    uint32_t id_first = 0x20000000;
    uint32_t id_ranges = 4096;
    std::string boot_id;
    // The cgroup directory of a container; empty: none known (a runtime without cgroups).
    std::function<std::string(const ContainerId&)> cgroup_of;
  };

  Agent(Parts parts, Options options);
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;
  ~Agent();

  // Reads journal, notes and runtime, and goes to work.  What of them cannot be read is logged and
  // done without.  kUnavailable: the runtime does not answer.
  asio::awaitable<absl::Status> Start();
  // Takes up no new work, and resumes when what was under way has ended.  Containers run on.
  asio::awaitable<void> Stop();

  // Makes `needed` bytes of room by archives and images that no container here uses, as far as
  // there are any, unless work is under way.
  asio::awaitable<absl::Status> CollectImages(Bytes needed);

  // ---- from the controller
  Acceptance OnDesired(const api::Desired& desired);
  void OnSession();
  void OnLease(BootTime until);
  void SetStopAfterLease(std::chrono::milliseconds stop);

  // What the runtime has to make of the layer that `move` brings, its image fetched if need be.
  // kFailedPrecondition: this node is not told to hold such a container, or it is to run.
  asio::awaitable<absl::StatusOr<RuntimeSpec>> PrepareImport(ContainerId id, std::string move);

  // ---- from the lease holder
  void OnLeaseHolder(bool present, std::optional<BootTime> until);

  // ---- to the controller
  std::optional<api::Report> TakeReport(bool full);
  // Set when there may be something to report.
  Event& changed() { return changed_; }
  // Set as well when that is worth a report at once: an order was carried out.
  Event& carried_out() { return carried_out_; }
  api::Version version() const { return core_.version(); }
  std::vector<std::string> images() const;
  std::vector<api::Condition> conditions() const;
  std::vector<api::ObservedContainer> Observe() const { return core_.Observe(clock_.Boot()); }

 private:
  void Pump();
  asio::awaitable<void> Carry(Action action);
  asio::awaitable<absl::StatusOr<Started>> CarryOut(Action action);
  asio::awaitable<absl::StatusOr<Started>> StartContainer(api::NodeContainer container);
  asio::awaitable<absl::Status> Change(Action action);
  // How its disk is limited now and what it lacks; no mode: not known.
  asio::awaitable<Started> AfterAdjusting(ContainerId id);
  asio::awaitable<absl::Status> FetchImage(api::NodeContainer container);
  absl::StatusOr<RuntimeSpec> SpecOf(const api::NodeContainer& container);
  void OnExit(const RuntimeExitEvent& event);
  // Fetches the contexts that containers here lack, and removes those that none has any more.
  asio::awaitable<void> KeepContexts();
  asio::awaitable<absl::Status> FetchContext(std::string id);
  asio::awaitable<void> RemoveContexts(std::set<std::string> unused);
  // Runs the scripts of a minimal first start, or waits for their end.
  asio::awaitable<absl::Status> RunFirstStart(ContainerId id);
  asio::awaitable<absl::StatusOr<FirstStart>> AskFirstStart(ContainerId id);
  asio::awaitable<void> WakeWhenDue();
  asio::awaitable<void> KeepJournal();
  void LoadJournal(DesiredRecord& desired);
  void LoadContexts();
  void SaveNotes();
  void TellLeaseGuard();
  void TellNetwork();
  void RefreshImages();

  asio::io_context& loop_;
  const Clock& clock_;
  ContainerRuntime& runtime_;
  ContainerAccess& access_;
  ImageCache& images_;
  ImageSource& source_;
  LeaseGuard& leases_;
  ContainerNetwork& network_;
  Journal& journal_;
  Lane& disk_;
  const Logger log_;
  const Options options_;

  AgentCore core_;
  IdRanges ids_;
  std::map<ContainerId, RuntimeContainer> containers_;   // as the runtime last said
  std::map<ContainerId, RuntimeExitEvent> early_exits_;  // of those whose start is not back yet
  std::set<std::string> contexts_;                       // that are here
  std::set<std::string> wanted_contexts_;                // when they were last looked at
  std::string notes_;
  std::chrono::milliseconds stop_after_lease_;
  std::vector<LeaseGuard::Protected> protected_;
  std::optional<BootTime> protected_until_;
  absl::Status journal_status_;
  bool started_ = false;
  bool stopping_ = false;

  Event changed_;
  Event carried_out_;
  Event rearm_;
  Event journal_dirty_;
  Event contexts_dirty_;
  Scope scope_;
};

}  // namespace bramble::node
