// SPDX-License-Identifier: Apache-2.0
#include "node/uplink/command_runner.h"

#include "api/problem.h"
#include "base/status.h"
#include "base/strings.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxRemembered = 1000;
constexpr int64_t kIdentifySeconds = 15;
constexpr int64_t kMaxIdentifySeconds = 600;

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
  if (command.verb == "identify") {
    co_return Identify(command.arguments);
  }
  co_return absl::UnimplementedError(StrCat("this node cannot \"", command.verb,
                                            "\": its agent is older, or it has no such part"));
}

// Without a LED the log is what shows it; the answer says which.
absl::StatusOr<json::value> CommandRunner::Identify(const json::value& arguments) {
  const json::value none = json::object();
  JsonObjectReader reader(arguments.is_null() ? none : arguments, "identify");
  const std::chrono::seconds time(
      reader.OptionalInt("seconds", {.min = 1, .max = kMaxIdentifySeconds})
          .value_or(kIdentifySeconds));
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  const absl::StatusOr<std::string> led = indicator_.Blink(time);
  log_.Warn("identify", {{"led", led.ok() ? *led : "none"}, {"seconds", time.count()}});
  json::object result;
  result["seconds"] = time.count();
  if (led.ok()) {
    result["led"] = *led;
    result["message"] = StrCat("blinks its LED \"", *led, "\" for ", time.count(), " s");
  } else {
    result["led"] = nullptr;
    result["message"] =
        StrCat("no LED blinks: ", MessageOf(led.status()),
               "; `identify` in its log (journalctl -u bramble-node) shows which machine it is");
  }
  return json::value(std::move(result));
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
