// SPDX-License-Identifier: Apache-2.0
#pragma once

// The runtime of a real node: every call is one run of bramble-runtime (runtime_verbs.h), which
// alone knows liblxc.  For a while after a call the process of the next one is kept loaded, waiting
// for its verb: to load it takes nearly half as long as liblxc takes to start a container.

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/subprocess.h"
#include "base/timer.h"
#include "node/runtime/container_access.h"
#include "node/runtime/container_runtime.h"

namespace bramble::node {

class LxcRuntime : public ContainerRuntime, public ContainerAccess {
 public:
  struct Options {
    std::filesystem::path program;  // bramble-runtime
    std::filesystem::path state;    // containers are below STATE/containers
    std::filesystem::path run;      // emptied by a boot
    std::string cgroup_root = "bramble";
    std::filesystem::path seccomp_profile;       // container.seccomp
    std::chrono::milliseconds deadline{90'000};  // of one call, beyond the grace of a stop
    // The process of the next call is loaded so long after a call, not in the way of what is under
    // way, and let go when none has come for so long: it holds nearly 2 MiB.
    std::chrono::milliseconds spare_after{20};
    std::chrono::milliseconds spare_kept{60'000};
  };

  LxcRuntime(asio::io_context& loop, Options options, Logger log);
  ~LxcRuntime() override;

  asio::awaitable<absl::StatusOr<RuntimeContainer>> Start(RuntimeSpec spec) override;
  asio::awaitable<absl::Status> Stop(ContainerId id, std::chrono::milliseconds grace) override;
  asio::awaitable<absl::Status> Freeze(ContainerId id) override;
  asio::awaitable<absl::Status> Unfreeze(ContainerId id) override;
  asio::awaitable<absl::Status> Adjust(RuntimeSpec spec) override;
  asio::awaitable<absl::Status> Rebuild(RuntimeSpec spec) override;
  asio::awaitable<absl::Status> Delete(ContainerId id) override;
  asio::awaitable<absl::StatusOr<std::vector<RuntimeContainer>>> List() override;
  asio::awaitable<absl::StatusOr<std::vector<RuntimeUsage>>> Usage() override;
  void OnExit(std::function<void(RuntimeExitEvent)> listener) override;

  asio::awaitable<absl::StatusOr<std::unique_ptr<ContainerStream>>> Exec(
      ExecRequest request) override;
  asio::awaitable<absl::StatusOr<std::unique_ptr<ContainerStream>>> Console(
      ContainerId id, TerminalSize size) override;
  asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSource>>> Log(ContainerId id,
                                                                   LogOptions options) override;
  asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSink>>> PushFile(PushRequest request) override;
  asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSource>>> PullFile(
      PullRequest request) override;
  asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSource>>> ExportLayer(ContainerId id) override;
  asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSink>>> ImportLayer(RuntimeSpec spec) override;

 private:
  std::vector<std::string> Argv(std::string_view verb) const;
  absl::StatusOr<Process> Load() const;
  // The spare, unless it has died meanwhile; else a new one.
  absl::StatusOr<Process> TakeProcess();
  asio::awaitable<void> KeepSpare();
  asio::awaitable<absl::StatusOr<CommandResult>> Converse(Process process, Command command);
  asio::awaitable<absl::StatusOr<json::value>> Call(std::string verb, json::object request,
                                                    std::chrono::milliseconds deadline);
  asio::awaitable<absl::Status> CallForStatus(std::string verb, json::object request,
                                              std::chrono::milliseconds deadline);
  // Tells of the end of `container`'s present run, once.
  void Watch(const RuntimeContainer& container);
  asio::awaitable<absl::Status> WaitForMonitor(ContainerId id, pid_t monitor, pid_t init);

  asio::io_context& loop_;
  const Options options_;
  Logger log_;
  std::function<void(RuntimeExitEvent)> listener_;
  std::map<ContainerId, pid_t> watched_;  // the monitor of the run that is watched
  std::optional<Process> spare_;
  bool keeping_spare_ = false;
  int calls_under_way_ = 0;
  Event called_;
  Scope scope_;
};

}  // namespace bramble::node
