// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>

#include "api/node_protocol.h"
#include "base/asio.h"
#include "base/log.h"
#include "node/health/indicator.h"
#include "node/runtime/container_runtime.h"

namespace bramble::node {

// Carries out the controller's one-time commands, each id once.  What is remembered outlives the
// agent only in `not_after_ms`: a command that reboots is refused once its time is over.
class CommandRunner {
 public:
  using Machine = std::function<asio::awaitable<absl::Status>(std::string verb)>;

  // `machine` does "reboot" and "poweroff".
  CommandRunner(ContainerRuntime& runtime, Indicator& indicator, Machine machine, Logger log)
      : runtime_(runtime), indicator_(indicator), machine_(std::move(machine)), log_(log) {}

  // A command that was carried out before is answered as it was then.
  asio::awaitable<api::CommandResult> Run(api::Command command, WallTime now);

 private:
  asio::awaitable<absl::StatusOr<json::value>> Carry(api::Command command);
  asio::awaitable<absl::StatusOr<json::value>> Stats();
  absl::StatusOr<json::value> Identify(const json::value& arguments);

  ContainerRuntime& runtime_;
  Indicator& indicator_;
  const Machine machine_;
  const Logger log_;
  std::map<std::string, api::CommandResult> done_;
  std::deque<std::string> order_;  // of done_, oldest first
};

}  // namespace bramble::node
