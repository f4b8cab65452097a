// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/timer.h"
#include "node/runtime/container_access.h"
#include "node/runtime/container_runtime.h"

namespace bramble::node {

// Containers without a kernel, that start and stop at once, for tests of what stands above the
// runtime.  It outlives the node that uses it, as real containers do.
class MemoryRuntime : public ContainerRuntime, public ContainerAccess {
 public:
  std::map<ContainerId, RuntimeContainer> containers;
  std::vector<std::string> calls;
  absl::Status next_start;  // what the next Start answers, once

  void Exit(const ContainerId& id, RuntimeExit exit) {
    RuntimeContainer& container = containers[id];
    container.state = RuntimeState::kStopped;
    Tell({.id = id, .init_pid = std::exchange(container.init_pid, 0), .exit = exit});
  }

  asio::awaitable<absl::StatusOr<RuntimeContainer>> Start(RuntimeSpec spec) override {
    calls.push_back("start " + spec.name.str());
    if (absl::Status status = std::exchange(next_start, absl::OkStatus()); !status.ok()) {
      co_return status;
    }
    RuntimeContainer& container = containers[spec.id];
    container.spec = spec;
    container.state = RuntimeState::kRunning;
    container.init_pid = ++next_pid_;
    container.disk_mode = kDiskModeNone;
    co_return container;
  }
  asio::awaitable<absl::Status> Stop(ContainerId id, std::chrono::milliseconds) override {
    calls.push_back("stop " + containers[id].spec.name.str());
    Exit(id, {});
    co_return absl::OkStatus();
  }
  asio::awaitable<absl::Status> Freeze(ContainerId id) override {
    containers[id].state = RuntimeState::kFrozen;
    co_return absl::OkStatus();
  }
  asio::awaitable<absl::Status> Unfreeze(ContainerId id) override {
    containers[id].state = RuntimeState::kRunning;
    co_return absl::OkStatus();
  }
  asio::awaitable<absl::Status> Adjust(RuntimeSpec spec) override {
    calls.push_back("adjust " + spec.name.str());
    containers[spec.id].spec = spec;
    co_return absl::OkStatus();
  }
  asio::awaitable<absl::Status> Rebuild(RuntimeSpec spec) override {
    calls.push_back("rebuild " + spec.name.str());
    containers[spec.id].spec = spec;
    co_return absl::OkStatus();
  }
  asio::awaitable<absl::Status> Delete(ContainerId id) override {
    calls.push_back("delete " + containers[id].spec.name.str());
    containers.erase(id);
    co_return absl::OkStatus();
  }
  asio::awaitable<absl::StatusOr<std::vector<RuntimeContainer>>> List() override {
    std::vector<RuntimeContainer> all;
    for (const auto& [id, container] : containers) {
      all.push_back(container);
    }
    co_return all;
  }
  asio::awaitable<absl::StatusOr<std::vector<RuntimeUsage>>> Usage() override {
    co_return std::vector<RuntimeUsage>{};
  }
  void OnExit(std::function<void(RuntimeExitEvent)> listener) override {
    listener_ = std::move(listener);
  }

  // ---- access: a command that answers what is typed, doubled, and ends with its end
  class Echo : public ContainerStream {
   public:
    explicit Echo(asio::io_context& loop) : ready_(loop) {}
    asio::awaitable<absl::StatusOr<StreamPiece>> Read() override {
      co_await ready_.Wait();
      if (!out_.empty()) {
        StreamPiece piece{.bytes = std::exchange(out_, "")};
        if (!closed_) {
          ready_.Reset();
        }
        co_return piece;
      }
      co_return StreamPiece{.kind = StreamPiece::Kind::kExit, .exit_code = 7};
    }
    asio::awaitable<absl::Status> Write(std::string bytes) override {
      out_ += bytes + bytes;
      ready_.Set();
      co_return absl::OkStatus();
    }
    asio::awaitable<absl::Status> CloseInput() override {
      closed_ = true;
      ready_.Set();
      co_return absl::OkStatus();
    }
    absl::Status Resize(TerminalSize size) override {
      out_ += std::to_string(size.rows) + "x" + std::to_string(size.columns);
      ready_.Set();
      return absl::OkStatus();
    }
    absl::Status Signal(int) override { return absl::OkStatus(); }

   private:
    Event ready_;
    std::string out_;
    bool closed_ = false;
  };
  class Text : public ByteSource {
   public:
    explicit Text(std::string text) : text_(std::move(text)) {}
    asio::awaitable<absl::StatusOr<std::string>> Read() override {
      co_return std::exchange(text_, "");
    }

   private:
    std::string text_;
  };
  class File : public ByteSink {
   public:
    explicit File(std::string* file) : file_(file) {}
    asio::awaitable<absl::Status> Write(std::string bytes) override {
      bytes_ += bytes;
      co_return absl::OkStatus();
    }
    asio::awaitable<absl::Status> Finish() override {
      *file_ = bytes_;
      co_return absl::OkStatus();
    }

   private:
    std::string* file_;
    std::string bytes_;
  };
  std::string file;

  asio::awaitable<absl::StatusOr<std::unique_ptr<ContainerStream>>> Exec(
      ExecRequest request) override {
    if (!containers.contains(request.id)) {
      co_return absl::NotFoundError("no such container");
    }
    auto& loop = static_cast<asio::io_context&>(
        (co_await asio::this_coro::executor).target<asio::io_context::executor_type>()->context());
    std::unique_ptr<ContainerStream> stream = std::make_unique<Echo>(loop);
    co_return std::move(stream);
  }
  asio::awaitable<absl::StatusOr<std::unique_ptr<ContainerStream>>> Console(ContainerId id,
                                                                            TerminalSize) override {
    ExecRequest request{.id = id};
    co_return co_await Exec(std::move(request));
  }
  asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSource>>> Log(ContainerId,
                                                                   LogOptions) override {
    std::unique_ptr<ByteSource> source = std::make_unique<Text>("booted\n");
    co_return std::move(source);
  }
  asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSink>>> PushFile(PushRequest) override {
    std::unique_ptr<ByteSink> sink = std::make_unique<File>(&file);
    co_return std::move(sink);
  }
  asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSource>>> PullFile(ContainerId,
                                                                        std::string) override {
    std::unique_ptr<ByteSource> source = std::make_unique<Text>(file);
    co_return std::move(source);
  }

 private:
  void Tell(RuntimeExitEvent event) {
    if (listener_) {
      listener_(event);
    }
  }
  pid_t next_pid_ = 1'000'000'000;  // of no process
  std::function<void(RuntimeExitEvent)> listener_;
};

}  // namespace bramble::node
