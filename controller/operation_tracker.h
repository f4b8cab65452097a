// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "controller/ledger.h"

namespace bramble::controller {

// A command that is sent to a node is answered within this, or has failed.
inline constexpr std::chrono::seconds kCommandDeadline{60};

// The state of a container that is as it was asked to be.
api::ContainerState WantedState(api::DesiredState desired);

// Operations from their start to their end: what is asked of a container is done when its node
// reports it.
class OperationTracker {
 public:
  OperationTracker(Ledger& ledger, std::chrono::milliseconds deadline)
      : ledger_(ledger), deadline_(deadline) {}

  struct Start {
    std::string kind;  // "container.create"
    api::ObjectReference object;
    uint64_t wanted_generation = 0;
    std::chrono::milliseconds deadline{0};  // 0: the default
    std::string message;
  };
  OperationId Begin(Change& change, Start start);
  void Finish(Change& change, const OperationId& id, absl::Status status,
              json::value result = nullptr);
  void Cancel(Change& change, const OperationId& id, std::string message);

  // Ends what the container's status now answers, and says how far the rest is.
  void OnContainer(Change& change, const ContainerRecord& record);
  // The container is gone: its deletion succeeded, all else failed.
  void OnContainerGone(Change& change, const ContainerRecord& record);
  // Progress of another kind of operation; not stored.
  void Note(const OperationId& id, int64_t percent, std::string message);

  // Fails what is overdue and forgets what ended a day ago.
  void Tick();

 private:
  Ledger& ledger_;
  const std::chrono::milliseconds deadline_;
  BootTime next_{};
};

}  // namespace bramble::controller
