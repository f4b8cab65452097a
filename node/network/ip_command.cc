// SPDX-License-Identifier: Apache-2.0
#include "node/network/ip_command.h"

#include "base/async_subprocess.h"
#include "base/status.h"

namespace bramble::node {
namespace {

constexpr std::chrono::milliseconds kIpLimit{10'000};

}  // namespace

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

}  // namespace bramble::node
