// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/fake_runtime.h"

#include <boost/asio/post.hpp>

#include "base/status.h"
#include "base/timer.h"

namespace bramble::node {
namespace {

absl::Status NotRunning(const ContainerId& id) {
  return absl::FailedPreconditionError(StrCat("container ", id.str(), ": does not run"));
}

absl::Status NotHere(const ContainerId& id) {
  return absl::NotFoundError(StrCat("container ", id.str(), ": not on this node"));
}

// A command that answers in its own time: what is written is what is read (cat), or fixed.
class FakeStream : public ContainerStream {
 public:
  FakeStream(asio::io_context& loop, std::shared_ptr<FakeMachine> machine,
             const ExecRequest& request)
      : ready_(loop),
        machine_(std::move(machine)),
        id_(request.id),
        has_terminal_(request.terminal.has_value()) {
    if (has_terminal_) {
      machine_->containers[id_].sizes.push_back(*request.terminal);
    }
    const std::vector<std::string>& argv = request.argv;
    input_open_ = request.interactive || has_terminal_;
    if (argv[0] == "echo") {
      for (size_t i = 1; i < argv.size(); ++i) {
        out_ += StrCat(i == 1 ? "" : " ", argv[i]);
      }
      out_ += "\n";
    } else if (argv.size() == 3 && argv[0] == "sh" && argv[2].starts_with("exit ")) {
      code_ = std::stoi(argv[2].substr(5)) & 255;
    } else if (argv[0] == "cat") {
      running_ = input_open_;
    } else if (argv[0] != "true") {
      code_ = argv[0] == "false" ? 1 : 127;
    }
    ready_.Set();
  }

  asio::awaitable<absl::StatusOr<StreamPiece>> Read() override {
    while (out_.empty() && running_) {
      ready_.Reset();
      co_await ready_.Wait();
    }
    StreamPiece piece;
    if (!out_.empty()) {
      piece.bytes = std::exchange(out_, "");
      co_return piece;
    }
    if (std::exchange(ended_, true)) {
      co_return absl::FailedPreconditionError("the stream has ended");
    }
    piece.kind = StreamPiece::Kind::kExit;
    piece.exit_code = code_;
    co_return piece;
  }
  asio::awaitable<absl::Status> Write(std::string bytes) override {
    if (!input_open_) {
      co_return absl::FailedPreconditionError("its standard input is closed");
    }
    if (running_) {
      out_ += bytes;
      ready_.Set();
    }
    co_return absl::OkStatus();
  }
  asio::awaitable<absl::Status> CloseInput() override {
    input_open_ = false;
    running_ = false;
    ready_.Set();
    co_return absl::OkStatus();
  }
  absl::Status Resize(TerminalSize size) override {
    if (!has_terminal_) {
      return absl::FailedPreconditionError("it has no terminal");
    }
    machine_->containers[id_].sizes.push_back(size);
    return absl::OkStatus();
  }
  absl::Status Signal(int signal) override {
    if (running_) {
      code_ = 128 + signal;
      running_ = false;
      ready_.Set();
    }
    return absl::OkStatus();
  }

 private:
  Event ready_;
  const std::shared_ptr<FakeMachine> machine_;
  const ContainerId id_;
  const bool has_terminal_;
  bool input_open_ = false;
  bool running_ = false;
  bool ended_ = false;
  int code_ = 0;
  std::string out_;
};

class FakeSource : public ByteSource {
 public:
  explicit FakeSource(std::string text) : text_(std::move(text)) {}
  asio::awaitable<absl::StatusOr<std::string>> Read() override {
    co_return std::exchange(text_, "");
  }

 private:
  std::string text_;
};

class FakeSink : public ByteSink {
 public:
  FakeSink(std::shared_ptr<FakeMachine> machine, PushRequest request)
      : machine_(std::move(machine)), request_(std::move(request)) {}
  asio::awaitable<absl::Status> Write(std::string bytes) override {
    bytes_ += bytes;
    if (request_.size.has_value() && static_cast<int64_t>(bytes_.size()) > request_.size->count) {
      co_return absl::InvalidArgumentError("more bytes than were announced");
    }
    co_return absl::OkStatus();
  }
  asio::awaitable<absl::Status> Finish() override {
    if (request_.size.has_value() && static_cast<int64_t>(bytes_.size()) != request_.size->count) {
      co_return absl::InvalidArgumentError("ended early");
    }
    const auto container = machine_->containers.find(request_.id);
    if (container == machine_->containers.end()) {
      co_return NotHere(request_.id);
    }
    if (request_.kind == TransferKind::kTree) {
      co_return Unpack(container->second);
    }
    container->second.files[request_.path] = bytes_;
    co_return absl::OkStatus();
  }

 private:
  absl::Status Unpack(FakeMachine::Container& container) const {
    size_t at = 0;
    TarReader reader([this, &at](char* out, size_t size) {
      const size_t got = bytes_.copy(out, size, at);
      at += got;
      return absl::StatusOr<size_t>(got);
    });
    while (true) {
      BRAMBLE_ASSIGN_OR_RETURN(std::optional<TarEntry> entry, reader.Next());
      if (!entry.has_value()) {
        return absl::OkStatus();
      }
      const std::string path = StrCat(request_.path, "/", entry->name);
      std::string data(static_cast<size_t>(entry->size), '\0');
      BRAMBLE_RETURN_IF_ERROR(AsStatus(reader.Read(data.data(), data.size())));
      if (entry->type == TarType::kFile) {
        container.files[path] = data;
      }
      container.trees[path] = TarHeaderAndData{*entry, data};
    }
  }

  std::shared_ptr<FakeMachine> machine_;
  const PushRequest request_;
  std::string bytes_;
};

// What was pushed below `path`, as the archive of its last component.
absl::StatusOr<std::string> PackFake(const FakeMachine::Container& container,
                                     const std::string& path) {
  const size_t cut = path.rfind('/') + 1;
  std::string archive;
  for (const auto& [at, member] : container.trees) {
    if (at.starts_with(path + "/")) {
      TarEntry entry = member.entry;
      entry.name = at.substr(cut);
      archive += TarHeader(entry) + member.data + TarPadding(member.data.size());
    }
  }
  return archive.empty() ? absl::StatusOr<std::string>(
                               absl::NotFoundError(StrCat(path, " in the container: not found")))
                         : archive + TarEnd();
}

}  // namespace

FakeRuntime::FakeRuntime(asio::io_context& loop, std::shared_ptr<FakeMachine> machine)
    : loop_(loop), machine_(std::move(machine)) {}

FakeRuntime::~FakeRuntime() { *alive_ = false; }

absl::Status FakeRuntime::Begin(const char* verb, const ContainerId& id) {
  machine_->calls.push_back(StrCat(verb, " ", id.str()));
  return std::exchange(machine_->next_failure, absl::OkStatus());
}

FakeMachine::Container* FakeRuntime::Find(const ContainerId& id) {
  const auto found = machine_->containers.find(id);
  return found == machine_->containers.end() ? nullptr : &found->second;
}

absl::StatusOr<FakeMachine::Container*> FakeRuntime::FindRunning(const ContainerId& id) {
  FakeMachine::Container* container = Find(id);
  if (container == nullptr) {
    return NotHere(id);
  }
  if (container->observed.state == RuntimeState::kFrozen) {
    return FrozenError(container->observed.spec.name.str());
  }
  if (container->observed.state != RuntimeState::kRunning) {
    return NotRunning(id);
  }
  return container;
}

void FakeRuntime::Exit(const ContainerId& id, RuntimeExit exit) {
  FakeMachine::Container* container = Find(id);
  if (container == nullptr || container->observed.state == RuntimeState::kStopped) {
    return;
  }
  RuntimeExitEvent event;
  event.id = id;
  event.init_pid = std::exchange(container->observed.init_pid, 0);
  event.exit = exit;
  container->observed.state = RuntimeState::kStopped;
  container->observed.monitor_pid = 0;
  auto tell = [this, event, alive = alive_] {
    if (*alive && listener_) {
      listener_(event);
    }
  };
  asio::post(loop_, std::move(tell));
}

asio::awaitable<absl::StatusOr<RuntimeContainer>> FakeRuntime::Start(RuntimeSpec spec) {
  BRAMBLE_CO_RETURN_IF_ERROR(Begin("start", spec.id));
  FakeMachine::Container* existing = Find(spec.id);
  if (existing != nullptr && (existing->made_for.rebuild_count != spec.rebuild_count ||
                              existing->made_for.image_digest != spec.image_digest)) {
    co_return absl::FailedPreconditionError(
        StrCat("container ", spec.id.str(), ": rebuild it first"));
  }
  if (!spec.layer_move.empty() &&
      (existing == nullptr || existing->made_for.layer_move != spec.layer_move)) {
    co_return absl::FailedPreconditionError(
        StrCat("container ", spec.id.str(), ": its writable layer has not arrived"));
  }
  FakeMachine::Container& container = machine_->containers[spec.id];
  if (existing == nullptr) {
    container.made_for = spec;
  }
  container.observed.spec = spec;
  container.observed.disk_mode = kDiskModeNone;
  container.observed.degraded = machine_->degraded;
  if (container.observed.state == RuntimeState::kStopped) {
    container.observed.state = RuntimeState::kRunning;
    container.observed.init_pid = machine_->next_pid++;
    container.observed.monitor_pid = machine_->next_pid++;
    container.observed.started_at = WallTime(std::chrono::seconds(1'700'000'000));
    container.log += "started\n";
  }
  co_return container.observed;
}

asio::awaitable<absl::Status> FakeRuntime::Stop(ContainerId id, std::chrono::milliseconds grace) {
  BRAMBLE_CO_RETURN_IF_ERROR(Begin("stop", id));
  RuntimeExit exit;
  exit.signal = grace.count() > 0 ? 2 : 9;  // halted, or killed
  Exit(id, exit);
  co_return absl::OkStatus();
}

absl::Status FakeRuntime::SetFrozen(const char* verb, const ContainerId& id, bool frozen) {
  BRAMBLE_RETURN_IF_ERROR(Begin(verb, id));
  FakeMachine::Container* container = Find(id);
  if (container == nullptr || container->observed.state == RuntimeState::kStopped) {
    return NotRunning(id);
  }
  container->observed.state = frozen ? RuntimeState::kFrozen : RuntimeState::kRunning;
  return absl::OkStatus();
}

asio::awaitable<absl::Status> FakeRuntime::Freeze(ContainerId id) {
  co_return SetFrozen("freeze", id, true);
}

asio::awaitable<absl::Status> FakeRuntime::Unfreeze(ContainerId id) {
  co_return SetFrozen("unfreeze", id, false);
}

asio::awaitable<absl::Status> FakeRuntime::Adjust(RuntimeSpec spec) {
  BRAMBLE_CO_RETURN_IF_ERROR(Begin("adjust", spec.id));
  FakeMachine::Container* container = Find(spec.id);
  if (container == nullptr) {
    co_return NotHere(spec.id);
  }
  container->observed.spec = spec;
  container->observed.degraded = machine_->degraded;
  co_return absl::OkStatus();
}

asio::awaitable<absl::Status> FakeRuntime::Rebuild(RuntimeSpec spec) {
  BRAMBLE_CO_RETURN_IF_ERROR(Begin("rebuild", spec.id));
  FakeMachine::Container* container = Find(spec.id);
  if (container != nullptr && container->observed.state != RuntimeState::kStopped) {
    co_return absl::FailedPreconditionError(StrCat("container ", spec.id.str(), ": runs"));
  }
  if (container != nullptr) {
    container->files.clear();
    container->made_for = spec;
    container->observed.spec = spec;
  }
  co_return absl::OkStatus();
}

asio::awaitable<absl::Status> FakeRuntime::Delete(ContainerId id) {
  BRAMBLE_CO_RETURN_IF_ERROR(Begin("delete", id));
  RuntimeExit killed;
  killed.signal = 9;
  Exit(id, killed);
  machine_->containers.erase(id);
  co_return absl::OkStatus();
}

asio::awaitable<absl::StatusOr<std::vector<RuntimeContainer>>> FakeRuntime::List() {
  std::vector<RuntimeContainer> containers;
  for (const auto& [id, container] : machine_->containers) {
    containers.push_back(container.observed);
  }
  co_return containers;
}

asio::awaitable<absl::StatusOr<std::vector<RuntimeUsage>>> FakeRuntime::Usage() {
  std::vector<RuntimeUsage> usages;
  for (const auto& [id, container] : machine_->containers) {
    if (container.observed.state != RuntimeState::kStopped) {
      RuntimeUsage usage;
      usage.id = id;
      usage.memory.count = kMiB;
      usage.pids = 1;
      usages.push_back(usage);
    }
  }
  co_return usages;
}

void FakeRuntime::OnExit(std::function<void(RuntimeExitEvent)> listener) {
  listener_ = std::move(listener);
}

asio::awaitable<absl::StatusOr<std::unique_ptr<ContainerStream>>> FakeRuntime::Exec(
    ExecRequest request) {
  const auto container = FindRunning(request.id);
  if (!container.ok()) {
    co_return container.status();
  }
  if (request.argv.empty()) {
    co_return absl::InvalidArgumentError("no command");
  }
  std::unique_ptr<ContainerStream> made = std::make_unique<FakeStream>(loop_, machine_, request);
  co_return std::move(made);
}

asio::awaitable<absl::StatusOr<std::unique_ptr<ContainerStream>>> FakeRuntime::Console(
    ContainerId id, TerminalSize size) {
  ExecRequest request;
  request.id = id;
  request.argv = {"cat"};
  request.terminal = size;
  return Exec(std::move(request));
}

asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSource>>> FakeRuntime::Log(ContainerId id,
                                                                              LogOptions) {
  FakeMachine::Container* container = Find(id);
  if (container == nullptr) {
    co_return NotHere(id);
  }
  std::unique_ptr<ByteSource> made = std::make_unique<FakeSource>(container->log);
  co_return std::move(made);
}

asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSink>>> FakeRuntime::PushFile(
    PushRequest request) {
  if (Find(request.id) == nullptr) {
    co_return NotHere(request.id);
  }
  if (request.size.has_value() && *request.size > kMaxFileTransfer) {
    co_return absl::ResourceExhaustedError("too large");
  }
  std::unique_ptr<ByteSink> made = std::make_unique<FakeSink>(machine_, std::move(request));
  co_return std::move(made);
}

asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSource>>> FakeRuntime::PullFile(
    PullRequest request) {
  FakeMachine::Container* container = Find(request.id);
  if (container == nullptr) {
    co_return NotHere(request.id);
  }
  if (request.kind == TransferKind::kTree) {
    absl::StatusOr<std::string> archive = PackFake(*container, request.path);
    if (!archive.ok()) {
      co_return archive.status();
    }
    std::unique_ptr<ByteSource> tree = std::make_unique<FakeSource>(*std::move(archive));
    co_return std::move(tree);
  }
  const auto file = container->files.find(request.path);
  if (file == container->files.end()) {
    co_return absl::NotFoundError(StrCat(request.path, " in the container: not found"));
  }
  std::unique_ptr<ByteSource> made = std::make_unique<FakeSource>(file->second);
  co_return std::move(made);
}

namespace {

// Its layers are "PATH\\0CONTENTS\\0" for each file.
class FakeImport : public ByteSink {
 public:
  FakeImport(std::shared_ptr<FakeMachine> machine, RuntimeSpec spec)
      : machine_(std::move(machine)), spec_(std::move(spec)) {}
  asio::awaitable<absl::Status> Write(std::string bytes) override {
    bytes_ += bytes;
    co_return absl::OkStatus();
  }
  asio::awaitable<absl::Status> Finish() override {
    FakeMachine::Container container;
    container.made_for = spec_;
    container.observed.spec = spec_;
    for (size_t at = 0; at < bytes_.size();) {
      const std::string path = bytes_.c_str() + at;
      const std::string contents = bytes_.c_str() + at + path.size() + 1;
      at += path.size() + contents.size() + 2;
      container.files[path] = contents;
    }
    machine_->containers[spec_.id] = std::move(container);
    co_return absl::OkStatus();
  }

 private:
  std::shared_ptr<FakeMachine> machine_;
  const RuntimeSpec spec_;
  std::string bytes_;
};

}  // namespace

asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSource>>> FakeRuntime::ExportLayer(
    ContainerId id) {
  std::string layer;
  if (const FakeMachine::Container* container = Find(id); container != nullptr) {
    if (container->observed.state != RuntimeState::kStopped) {
      co_return absl::FailedPreconditionError("it runs");
    }
    for (const auto& [path, contents] : container->files) {
      layer += path + '\0' + contents + '\0';
    }
  }
  std::unique_ptr<ByteSource> source = std::make_unique<FakeSource>(std::move(layer));
  co_return std::move(source);
}

asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSink>>> FakeRuntime::ImportLayer(
    RuntimeSpec spec) {
  const FakeMachine::Container* container = Find(spec.id);
  if (container != nullptr && container->made_for.layer_move == spec.layer_move) {
    co_return absl::AlreadyExistsError("its layer is here");
  }
  std::unique_ptr<ByteSink> sink = std::make_unique<FakeImport>(machine_, std::move(spec));
  co_return std::move(sink);
}

}  // namespace bramble::node
