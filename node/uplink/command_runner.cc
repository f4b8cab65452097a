// SPDX-License-Identifier: Apache-2.0
#include "node/uplink/command_runner.h"

#include "api/problem.h"
#include "base/strings.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxRemembered = 1000;

}  // namespace

asio::awaitable<api::CommandResult> CommandRunner::Run(api::Command command, WallTime now) {
  if (const auto found = done_.find(command.command_id); found != done_.end()) {
    co_return found->second;
  }
  api::CommandResult result{.command_id = command.command_id};
  absl::StatusOr<json::value> value = json::value();
  if (command.not_after_ms > 0 && now.time_since_epoch().count() > command.not_after_ms) {
    value = absl::DeadlineExceededError(
        StrCat("command \"", command.verb, "\" came too late and was not carried out"));
  } else {
    done_[command.command_id] = result;  // a repeated one that comes meanwhile does nothing
    value = co_await Carry(command);
  }
  if (value.ok()) {
    result.result = *std::move(value);
  } else {
    const api::Problem problem = api::ProblemOf(value.status());
    result.error_code = problem.code;
    result.error = problem.detail;
  }
  done_[command.command_id] = result;
  order_.push_back(command.command_id);
  if (order_.size() > kMaxRemembered) {
    done_.erase(order_.front());
    order_.pop_front();
  }
  co_return result;
}

asio::awaitable<absl::StatusOr<json::value>> CommandRunner::Carry(api::Command command) {
  if (command.verb == "stats") {
    co_return co_await Stats();
  }
  if (command.verb == "reboot" || command.verb == "poweroff") {
    const absl::Status status = co_await machine_(command.verb);
    if (!status.ok()) {
      co_return status;
    }
    co_return json::value(json::object());
  }
  co_return absl::UnimplementedError(StrCat("this node cannot \"", command.verb,
                                            "\": its agent is older, or it has no such part"));
}

asio::awaitable<absl::StatusOr<json::value>> CommandRunner::Stats() {
  absl::StatusOr<std::vector<RuntimeUsage>> usage = co_await runtime_.Usage();
  if (!usage.ok()) {
    co_return usage.status();
  }
  json::object containers;
  for (const RuntimeUsage& one : *usage) {
    containers[one.id.str()] = {{"memory_bytes", one.memory.count},
                                {"swap_bytes", one.swap.count},
                                {"cpu_us", one.cpu_time.count()},
                                {"pids", one.pids},
                                {"disk_bytes", one.disk.count}};
  }
  json::object all;
  all["containers"] = std::move(containers);
  co_return json::value(std::move(all));
}

}  // namespace bramble::node
