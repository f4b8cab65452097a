// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/lxc_runtime.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "base/async_subprocess.h"
#include "base/file.h"
#include "base/status.h"
#include "node/runtime/lxc_runtime_process.h"
#include "node/runtime/runtime_paths.h"
#include "node/runtime/runtime_spec_json.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxAnswerBytes = 64 << 20;  // a list of a thousand containers with their notes
constexpr size_t kMaxContainers = 10'000;
constexpr size_t kMaxExitBytes = 4096;

absl::StatusOr<std::vector<RuntimeContainer>> ContainersOf(const json::value& value) {
  std::vector<RuntimeContainer> containers;
  JsonObjectReader reader(value, "list");
  for (const json::value* one : reader.List("containers", kMaxContainers)) {
    BRAMBLE_ASSIGN_OR_RETURN(RuntimeContainer container,
                             RuntimeContainerFromJson(*one, "container"));
    containers.push_back(std::move(container));
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return containers;
}

absl::StatusOr<std::vector<RuntimeUsage>> UsageOf(const json::value& value) {
  std::vector<RuntimeUsage> usages;
  JsonObjectReader reader(value, "usage");
  for (const json::value* one : reader.List("usage", kMaxContainers)) {
    BRAMBLE_ASSIGN_OR_RETURN(RuntimeUsage usage, RuntimeUsageFromJson(*one, "usage"));
    usages.push_back(usage);
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return usages;
}

std::optional<RuntimeExit> ReadExit(const RuntimePaths& paths, const ContainerId& id) {
  const auto text = ReadFile(paths.Exit(id), kMaxExitBytes);
  if (!text.ok()) {
    return std::nullopt;
  }
  const auto value = ParseJson(*text);
  if (!value.ok()) {
    return std::nullopt;
  }
  const auto exit = RuntimeExitFromJson(*value, "exit");
  return exit.ok() ? std::optional<RuntimeExit>(*exit) : std::nullopt;
}

}  // namespace

absl::StatusOr<json::value> ParseRuntimeAnswer(std::string_view text) {
  const auto answer = ParseJson(text, kMaxAnswerBytes);
  if (!answer.ok() || !answer->is_object()) {
    return absl::InternalError("bramble-runtime: no answer that can be read");
  }
  const json::object& object = answer->get_object();
  if (const json::value* error = object.if_contains("error"); error != nullptr) {
    return StatusFromJson(*error);
  }
  const json::value* value = object.if_contains("value");
  if (value == nullptr) {
    return absl::InternalError("bramble-runtime: an answer without a value");
  }
  return *value;
}

LxcRuntime::LxcRuntime(asio::io_context& loop, Options options, Logger log)
    : loop_(loop), options_(std::move(options)), log_(log), called_(loop), scope_(loop, log) {}

LxcRuntime::~LxcRuntime() = default;

std::vector<std::string> LxcRuntime::Argv(std::string_view verb) const {
  return {options_.program.string(),
          std::string(verb),
          "--state",
          options_.state.string(),
          "--run",
          options_.run.string(),
          "--cgroup-root",
          options_.cgroup_root,
          "--seccomp",
          options_.seccomp_profile.string()};
}

absl::StatusOr<Process> LxcRuntime::Load() const {
  ProcessSpec spec;
  spec.argv = Argv("await");
  spec.in = Stdio::Pipe();
  spec.out = Stdio::Pipe();
  spec.err = Stdio::Pipe();
  return Process::Spawn(spec);
}

absl::StatusOr<Process> LxcRuntime::TakeProcess() {
  std::optional<Process> spare = std::exchange(spare_, std::nullopt);
  if (spare.has_value()) {
    const auto ended = spare->Poll();
    if (ended.ok() && !ended->has_value()) {
      return *std::move(spare);
    }
  }
  return Load();
}

asio::awaitable<void> LxcRuntime::KeepSpare() {
  bool called = true;
  while (called) {
    co_await SleepFor(options_.spare_after);
    if (!spare_.has_value() && calls_under_way_ == 0) {
      absl::StatusOr<Process> loaded = Load();
      if (!loaded.ok()) {
        break;  // the next call says why
      }
      spare_ = *std::move(loaded);
    }
    called_.Reset();
    called = co_await called_.WaitFor(options_.spare_kept);
  }
  spare_.reset();
  keeping_spare_ = false;
}

asio::awaitable<absl::StatusOr<CommandResult>> LxcRuntime::Converse(Process process,
                                                                    Command command) {
  struct UnderWay {
    explicit UnderWay(int& calls_in) : calls(calls_in) { ++calls; }
    ~UnderWay() { --calls; }
    int& calls;
  };
  const UnderWay under_way(calls_under_way_);
  auto finishing = FinishCommandAsync(std::move(process), std::move(command));
  co_return co_await std::move(finishing);
}

asio::awaitable<absl::StatusOr<json::value>> LxcRuntime::Call(std::string verb,
                                                              json::object request,
                                                              std::chrono::milliseconds deadline) {
  absl::StatusOr<Process> process = TakeProcess();
  if (!process.ok()) {
    co_return process.status();
  }
  const json::object asked = {{"verb", verb}, {"request", std::move(request)}};
  Command command;
  command.argv = {options_.program.string()};
  command.input = json::serialize(asked);
  command.deadline = deadline;
  command.max_output_bytes = kMaxAnswerBytes;
  auto running = Converse(*std::move(process), std::move(command));
  const auto result = co_await std::move(running);
  called_.Set();
  if (!std::exchange(keeping_spare_, true)) {
    Spawn(scope_, "keep_spare", KeepSpare());
  }
  if (!result.ok()) {
    co_return result.status();
  }
  if (result->out.empty()) {
    log_.Warn("runtime_call_failed", {{"verb", verb},
                                      {"exit", result->exit.ToString()},
                                      {"stderr", result->err.substr(0, 1000)}});
    co_return absl::UnavailableError(StrCat("bramble-runtime ", verb, ": ", result->exit.ToString(),
                                            ": ", result->err.substr(0, 200)));
  }
  co_return ParseRuntimeAnswer(result->out);
}

asio::awaitable<absl::Status> LxcRuntime::CallForStatus(std::string verb, json::object request,
                                                        std::chrono::milliseconds deadline) {
  auto call = Call(std::move(verb), std::move(request), deadline);
  const auto value = co_await std::move(call);
  co_return value.status();
}

asio::awaitable<absl::StatusOr<RuntimeContainer>> LxcRuntime::Start(RuntimeSpec spec) {
  json::object request = {{"spec", ToJson(spec)}};
  auto call = Call("start", std::move(request), options_.deadline);
  const auto value = co_await std::move(call);
  if (!value.ok()) {
    co_return value.status();
  }
  auto container = RuntimeContainerFromJson(*value, "container");
  if (container.ok()) {
    Watch(*container);
  }
  co_return container;
}

asio::awaitable<absl::Status> LxcRuntime::Stop(ContainerId id, std::chrono::milliseconds grace) {
  json::object request = {{"id", id.str()}, {"grace_ms", grace.count()}};
  return CallForStatus("stop", std::move(request), options_.deadline + grace);
}

asio::awaitable<absl::Status> LxcRuntime::Freeze(ContainerId id) {
  json::object request = {{"id", id.str()}};
  return CallForStatus("freeze", std::move(request), options_.deadline);
}

asio::awaitable<absl::Status> LxcRuntime::Unfreeze(ContainerId id) {
  json::object request = {{"id", id.str()}};
  return CallForStatus("unfreeze", std::move(request), options_.deadline);
}

asio::awaitable<absl::Status> LxcRuntime::Adjust(RuntimeSpec spec) {
  json::object request = {{"spec", ToJson(spec)}};
  return CallForStatus("adjust", std::move(request), options_.deadline);
}

asio::awaitable<absl::Status> LxcRuntime::Rebuild(RuntimeSpec spec) {
  json::object request = {{"spec", ToJson(spec)}};
  return CallForStatus("rebuild", std::move(request), options_.deadline);
}

asio::awaitable<absl::Status> LxcRuntime::Delete(ContainerId id) {
  json::object request = {{"id", id.str()}};
  return CallForStatus("delete", std::move(request), options_.deadline);
}

asio::awaitable<absl::StatusOr<std::vector<RuntimeContainer>>> LxcRuntime::List() {
  auto call = Call("list", json::object(), options_.deadline);
  const auto value = co_await std::move(call);
  if (!value.ok()) {
    co_return value.status();
  }
  auto containers = ContainersOf(*value);
  if (containers.ok()) {
    for (const RuntimeContainer& container : *containers) {
      Watch(container);
    }
  }
  co_return containers;
}

asio::awaitable<absl::StatusOr<std::vector<RuntimeUsage>>> LxcRuntime::Usage() {
  auto call = Call("usage", json::object(), options_.deadline);
  const auto value = co_await std::move(call);
  if (!value.ok()) {
    co_return value.status();
  }
  co_return UsageOf(*value);
}

void LxcRuntime::OnExit(std::function<void(RuntimeExitEvent)> listener) {
  listener_ = std::move(listener);
}

void LxcRuntime::Watch(const RuntimeContainer& container) {
  const ContainerId& id = container.spec.id;
  if (container.state == RuntimeState::kStopped || container.monitor_pid <= 0) {
    return;
  }
  pid_t& watched = watched_[id];
  if (watched == container.monitor_pid) {
    return;
  }
  watched = container.monitor_pid;
  Spawn(scope_, "watch_container", WaitForMonitor(id, container.monitor_pid, container.init_pid));
}

asio::awaitable<absl::Status> LxcRuntime::WaitForMonitor(ContainerId id, pid_t monitor,
                                                         pid_t init) {
  // A monitor that ended between the answer and now has no pidfd: its end is told at once.
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, monitor, 0));
  if (pidfd >= 0) {
    asio::posix::stream_descriptor descriptor(loop_, pidfd);
    auto token = asio::as_tuple(asio::use_awaitable);
    const auto wait = asio::posix::stream_descriptor::wait_read;
    auto [error] = co_await descriptor.async_wait(wait, std::move(token));
    if (error) {
      co_return absl::CancelledError("not watched any more");
    }
  }
  const auto watched = watched_.find(id);
  if (watched == watched_.end() || watched->second != monitor) {
    co_return absl::OkStatus();  // a later run is watched
  }
  watched_.erase(watched);
  RuntimeExitEvent event;
  event.id = id;
  event.init_pid = init;
  event.exit = ReadExit(RuntimePaths{options_.state, options_.run}, id);
  if (listener_) {
    listener_(event);
  }
  co_return absl::OkStatus();
}

}  // namespace bramble::node
