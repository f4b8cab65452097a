// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/asio.h"
#include "base/tar.h"
#include "node/runtime/container_access.h"
#include "node/runtime/container_runtime.h"

namespace bramble::node {

struct TarHeaderAndData {
  TarEntry entry;
  std::string data;
};

// The containers of one make-believe machine; they outlive the runtimes that a restarted agent
// makes.
struct FakeMachine {
  struct Container {
    RuntimeContainer observed;
    RuntimeSpec made_for;                           // what its writable layer was made for
    std::map<std::string, std::string> files;       // of the writable layer
    std::map<std::string, TarHeaderAndData> trees;  // of pushed directories, by path
    std::string log;
    std::vector<TerminalSize> sizes;  // of terminals that were opened or resized
  };
  std::map<ContainerId, Container> containers;
  std::vector<std::string> calls;     // "start ID", in order
  absl::Status next_failure;          // what the next call that changes something answers, once
  std::vector<std::string> degraded;  // what its kernel cannot give to a container
  pid_t next_pid = 1'000'000'000;     // of no process
};

// A runtime without a kernel.  Commands that its containers know: `true`, `false`, `echo WORD…`,
// `cat`, and `sh -c "exit N"`; others end with 127.
class FakeRuntime : public ContainerRuntime, public ContainerAccess {
 public:
  FakeRuntime(asio::io_context& loop, std::shared_ptr<FakeMachine> machine);
  ~FakeRuntime() override;

  // As if its init ended by itself.
  void Exit(const ContainerId& id, RuntimeExit exit);
  FakeMachine& machine() { return *machine_; }

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
  // Records the call; the failure that a test asked for, if any.
  absl::Status Begin(const char* verb, const ContainerId& id);
  FakeMachine::Container* Find(const ContainerId& id);
  absl::StatusOr<FakeMachine::Container*> FindRunning(const ContainerId& id);
  absl::Status SetFrozen(const char* verb, const ContainerId& id, bool frozen);

  asio::io_context& loop_;
  std::shared_ptr<FakeMachine> machine_;
  std::function<void(RuntimeExitEvent)> listener_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace bramble::node
