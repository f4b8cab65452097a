// SPDX-License-Identifier: Apache-2.0
#include "base/async_subprocess.h"
#include "base/status.h"
#include "node/network/network_setup.h"

namespace bramble::node {
namespace {

constexpr std::chrono::milliseconds kIpLimit{10'000};

asio::awaitable<absl::StatusOr<std::string>> RunIp(std::vector<std::string> argv,
                                                   std::string input) {
  Command command{.argv = std::move(argv), .input = std::move(input), .deadline = kIpLimit};
  const Command kept = command;
  absl::StatusOr<CommandResult> result = co_await RunCommandAsync(std::move(command));
  if (!result.ok()) {
    co_return result.status();
  }
  const absl::Status good = CheckOk(kept, *result);
  if (!good.ok()) {
    co_return good;
  }
  co_return std::move(result->out);
}

}  // namespace

asio::awaitable<absl::Status> IpNetworkSetup::Apply(BridgeSetting setting) {
  std::vector<std::string> show_addresses = {"ip", "-json", "address", "show"};
  std::vector<std::string> show_routes = {"ip", "-json", "-4", "route", "show", "default"};
  absl::StatusOr<std::string> addresses = co_await RunIp(std::move(show_addresses), "");
  if (!addresses.ok()) {
    co_return addresses.status();
  }
  absl::StatusOr<std::string> routes = co_await RunIp(std::move(show_routes), "");
  if (!routes.ok()) {
    co_return routes.status();
  }
  absl::StatusOr<NetworkFacts> facts = ParseNetworkFacts(*addresses, *routes);
  if (!facts.ok()) {
    co_return facts.status();
  }
  absl::StatusOr<std::vector<std::string>> plan = PlanBridge(setting, *facts);
  if (!plan.ok() || plan->empty()) {
    co_return plan.status();
  }
  std::string batch;
  for (const std::string& line : *plan) {
    log_.Info("network_change", {{"ip", line}});
    batch += line + "\n";
  }
  std::vector<std::string> apply = {"ip", "-batch", "-"};
  absl::StatusOr<std::string> applied = co_await RunIp(std::move(apply), std::move(batch));
  co_return AsStatus(applied);
}

}  // namespace bramble::node
