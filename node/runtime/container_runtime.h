// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

#include "base/asio.h"
#include "node/runtime/runtime_spec.h"

#include "absl/status/statusor.h"

namespace bramble::node {

// Runs containers on this node.  LxcRuntime is the real one; FakeRuntime lives beside this file,
// and both pass container_runtime_contract.h.  What reaches into a container is container_access.h.
//
// Called only from the agent's loop, at most one call per container at a time; List and Usage at
// any time.  Containers outlive the runtime object and the agent.  A call that fails leaves the
// container as it was, or stopped where that cannot be.
class ContainerRuntime {
 public:
  virtual ~ContainerRuntime() = default;

  // Makes `spec` run, creating it if need be, and gives it as it runs.  When it runs already it is
  // adjusted as by Adjust and left running.
  // kFailedPrecondition: the image's tree is not there, or it was made with another rebuild_count
  // (Rebuild first).  kResourceExhausted: no room on the disk or in the kernel.
  virtual asio::awaitable<absl::StatusOr<RuntimeContainer>> Start(RuntimeSpec spec) = 0;

  // Asks init to end and kills the container after `grace` (0: at once).  Frozen ones are thawed.
  // Stopping what is stopped or not there succeeds.
  virtual asio::awaitable<absl::Status> Stop(ContainerId id, std::chrono::milliseconds grace) = 0;

  // kFailedPrecondition: it does not run.  Freezing what is frozen succeeds, and so on.
  virtual asio::awaitable<absl::Status> Freeze(ContainerId id) = 0;
  virtual asio::awaitable<absl::Status> Unfreeze(ContainerId id) = 0;

  // Takes over what can change while it runs: limits, environment and grace (for later),
  // generation, note.  The rest of `spec` (image, ids, nic) counts at the next start.  A smaller
  // memory limit than what is used is kFailedPrecondition.  kNotFound: no such container.
  virtual asio::awaitable<absl::Status> Adjust(RuntimeSpec spec) = 0;

  // Gives a stopped container a fresh writable layer, on what is now its image, and keeps `spec`.
  // kFailedPrecondition: it runs.  Of a container that is not there: nothing to do.
  virtual asio::awaitable<absl::Status> Rebuild(RuntimeSpec spec) = 0;

  // Kills it and removes every trace.  Deleting what is not there succeeds.
  virtual asio::awaitable<absl::Status> Delete(ContainerId id) = 0;

  // Every container of this node, running or not, broken ones too, ordered by id.
  virtual asio::awaitable<absl::StatusOr<std::vector<RuntimeContainer>>> List() = 0;
  // Of those that run.
  virtual asio::awaitable<absl::StatusOr<std::vector<RuntimeUsage>>> Usage() = 0;

  // `listener` is called on the loop when the init of a container that Start or List showed running
  // has ended, whoever ended it (Stop and Delete included): once per run.
  virtual void OnExit(std::function<void(RuntimeExitEvent)> listener) = 0;
};

}  // namespace bramble::node
