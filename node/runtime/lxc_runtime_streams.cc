// SPDX-License-Identifier: Apache-2.0

// LxcRuntime's side of ContainerAccess: each stream is one run of bramble-runtime.
#include "base/async_queue.h"
#include "base/status.h"
#include "node/runtime/lxc_runtime.h"
#include "node/runtime/lxc_runtime_process.h"
#include "node/runtime/runtime_spec_json.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxPiecesWaiting = 16;
constexpr char kEndOfInput[] = "\x04";  // ^D

// Shared with the tasks that read, which may outlive the stream by a turn of the loop.
struct StreamState {
  StreamState(asio::io_context& loop, std::shared_ptr<RuntimeProcess> process_in)
      : process(std::move(process_in)), pieces(loop, kMaxPiecesWaiting) {}
  std::shared_ptr<RuntimeProcess> process;
  AsyncQueue<absl::StatusOr<StreamPiece>> pieces;
  int readers = 0;
  bool has_terminal = false;
  bool input_open = false;
};

absl::StatusOr<StreamPiece> EndOf(const absl::StatusOr<json::value>& result) {
  BRAMBLE_RETURN_IF_ERROR(result.status());
  JsonObjectReader reader(*result, "result");
  StreamPiece exit;
  exit.kind = StreamPiece::Kind::kExit;
  exit.exit_code = static_cast<int>(reader.Int("exit_code", {.min = 0, .max = 255}));
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return exit;
}

asio::awaitable<void> PushEnd(std::shared_ptr<StreamState> state) {
  const auto result = co_await state->process->Result();
  absl::StatusOr<StreamPiece> end = EndOf(result);
  co_await state->pieces.Push(std::move(end));
  state->pieces.Close();
}

asio::awaitable<absl::Status> Pump(std::shared_ptr<StreamState> state, StreamPiece::Kind kind) {
  FdStream& from = kind == StreamPiece::Kind::kErr ? state->process->err() : state->process->out();
  while (true) {
    auto bytes = co_await from.Read();
    if (!bytes.ok() || bytes->empty()) {
      break;
    }
    StreamPiece piece;
    piece.kind = kind;
    piece.bytes = *std::move(bytes);
    absl::StatusOr<StreamPiece> item = std::move(piece);
    const bool taken = co_await state->pieces.Push(std::move(item));
    if (!taken) {
      break;
    }
  }
  if (--state->readers == 0) {
    co_await PushEnd(state);
  }
  co_return absl::OkStatus();
}

class LxcStream : public ContainerStream {
 public:
  LxcStream(std::shared_ptr<StreamState> state, Scope& scope, bool has_errors)
      : state_(std::move(state)) {
    state_->readers = has_errors ? 2 : 1;
    Spawn(scope, "container_stream_out", Pump(state_, StreamPiece::Kind::kOut));
    if (has_errors) {
      Spawn(scope, "container_stream_err", Pump(state_, StreamPiece::Kind::kErr));
    }
  }
  ~LxcStream() override {
    state_->pieces.Close();
    state_->process->End();
  }

  asio::awaitable<absl::StatusOr<StreamPiece>> Read() override {
    const std::shared_ptr<StreamState> state = state_;
    auto piece = co_await state->pieces.Pop();
    if (!piece.has_value()) {
      co_return absl::FailedPreconditionError("the stream has ended");
    }
    co_return *std::move(piece);
  }

  asio::awaitable<absl::Status> Write(std::string bytes) override {
    const std::shared_ptr<StreamState> state = state_;
    if (!state->input_open) {
      co_return absl::FailedPreconditionError("its standard input is closed");
    }
    co_return co_await state->process->in().Write(std::move(bytes));
  }

  asio::awaitable<absl::Status> CloseInput() override {
    const std::shared_ptr<StreamState> state = state_;
    if (!state->input_open) {
      co_return absl::OkStatus();
    }
    if (state->has_terminal) {
      co_return co_await state->process->in().Write(kEndOfInput);
    }
    state->input_open = false;
    state->process->in().Close();
    co_return absl::OkStatus();
  }

  absl::Status Resize(TerminalSize size) override {
    if (!state_->has_terminal) {
      return absl::FailedPreconditionError("it has no terminal");
    }
    return state_->process->process().Resize(size);
  }

  absl::Status Signal(int signal) override {
    state_->process->process().Signal(signal);
    return absl::OkStatus();
  }

 private:
  std::shared_ptr<StreamState> state_;
};

// What comes out of a verb's standard output, and then its result.
class LxcSource : public ByteSource {
 public:
  explicit LxcSource(std::shared_ptr<RuntimeProcess> process) : process_(std::move(process)) {}
  ~LxcSource() override { process_->End(); }

  asio::awaitable<absl::StatusOr<std::string>> Read() override {
    const std::shared_ptr<RuntimeProcess> process = process_;
    auto bytes = co_await process->out().Read();
    if (!bytes.ok() || !bytes->empty()) {
      co_return bytes;
    }
    const auto result = co_await process->Result();
    if (!result.ok()) {
      co_return result.status();
    }
    co_return std::string();
  }

 private:
  std::shared_ptr<RuntimeProcess> process_;
};

// Where the size is not known before, each piece follows its length, 4 bytes with the lowest first,
// and 0 is the end: a sender that goes away is not taken for one that is done.
std::string LengthOf(size_t size) {
  std::string text;
  for (int shift = 0; shift < 32; shift += 8) {
    text += static_cast<char>(size >> shift & 0xff);
  }
  return text;
}

class LxcSink : public ByteSink {
 public:
  LxcSink(std::shared_ptr<RuntimeProcess> process, std::optional<Bytes> size)
      : process_(std::move(process)), left_(size) {}
  ~LxcSink() override { process_->End(); }

  asio::awaitable<absl::Status> Write(std::string bytes) override {
    const std::shared_ptr<RuntimeProcess> process = process_;
    if (bytes.empty()) {
      co_return absl::OkStatus();
    }
    if (left_.has_value()) {
      *left_ -= Bytes{static_cast<int64_t>(bytes.size())};
      if (left_->count < 0) {
        co_return absl::InvalidArgumentError("more bytes than were announced");
      }
    } else {
      bytes.insert(0, LengthOf(bytes.size()));
    }
    const absl::Status written = co_await process->in().Write(std::move(bytes));
    if (written.ok()) {
      co_return written;
    }
    const auto result = co_await process->Result();  // why it takes no more
    if (result.ok()) {
      co_return written;
    }
    co_return result.status();
  }

  asio::awaitable<absl::Status> Finish() override {
    const std::shared_ptr<RuntimeProcess> process = process_;
    if (!left_.has_value()) {
      std::string end = LengthOf(0);
      (void)co_await process->in().Write(std::move(end));  // its result says why it takes no more
    }
    process->in().Close();
    const auto result = co_await process->Result();
    co_return result.status();
  }

 private:
  std::shared_ptr<RuntimeProcess> process_;
  std::optional<Bytes> left_;
};

json::object ExecToJson(const ExecRequest& request) {
  json::array argv;
  for (const std::string& argument : request.argv) {
    argv.push_back(json::string(argument));
  }
  json::object environment;
  for (const auto& [name, value] : request.environment) {
    environment.emplace(name, value);
  }
  return {{"id", request.id.str()},
          {"argv", std::move(argv)},
          {"environment", std::move(environment)},
          {"user", request.user},
          {"cwd", request.working_directory},
          {"terminal", request.terminal.has_value()}};
}

// A verb whose output is read.
asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSource>>> BeginSource(
    asio::io_context& loop, RuntimeProcess::Options options) {
  auto begun = co_await RuntimeProcess::Begin(loop, std::move(options));
  if (!begun.ok()) {
    co_return begun.status();
  }
  std::unique_ptr<ByteSource> made = std::make_unique<LxcSource>(*std::move(begun));
  co_return std::move(made);
}

// A verb that is written to; without a size, in pieces that bear their lengths.
asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSink>>> BeginSink(
    asio::io_context& loop, RuntimeProcess::Options options, std::optional<Bytes> size) {
  options.has_input = true;
  auto begun = co_await RuntimeProcess::Begin(loop, std::move(options));
  if (!begun.ok()) {
    co_return begun.status();
  }
  std::unique_ptr<ByteSink> made = std::make_unique<LxcSink>(*std::move(begun), size);
  co_return std::move(made);
}

}  // namespace

asio::awaitable<absl::StatusOr<std::unique_ptr<ContainerStream>>> LxcRuntime::Exec(
    ExecRequest request) {
  const bool has_terminal = request.terminal.has_value();
  RuntimeProcess::Options options;
  options.argv = Argv("exec");
  options.request = ExecToJson(request);
  options.has_input = request.interactive;
  options.has_errors = !has_terminal;
  options.terminal = request.terminal;
  auto begun = co_await RuntimeProcess::Begin(loop_, std::move(options));
  if (!begun.ok()) {
    co_return begun.status();
  }
  auto state = std::make_shared<StreamState>(loop_, *std::move(begun));
  state->has_terminal = has_terminal;
  state->input_open = request.interactive || has_terminal;
  std::unique_ptr<ContainerStream> made =
      std::make_unique<LxcStream>(std::move(state), scope_, !has_terminal);
  co_return std::move(made);
}

asio::awaitable<absl::StatusOr<std::unique_ptr<ContainerStream>>> LxcRuntime::Console(
    ContainerId id, TerminalSize size) {
  RuntimeProcess::Options options;
  options.argv = Argv("console");
  options.request = {{"id", id.str()}};
  options.terminal = size;
  auto begun = co_await RuntimeProcess::Begin(loop_, std::move(options));
  if (!begun.ok()) {
    co_return begun.status();
  }
  auto state = std::make_shared<StreamState>(loop_, *std::move(begun));
  state->has_terminal = true;
  state->input_open = true;
  std::unique_ptr<ContainerStream> made =
      std::make_unique<LxcStream>(std::move(state), scope_, false);
  co_return std::move(made);
}

asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSource>>> LxcRuntime::Log(
    ContainerId id, LogOptions log_options) {
  RuntimeProcess::Options options;
  options.argv = Argv("log");
  options.request = {
      {"id", id.str()}, {"tail_lines", log_options.tail_lines}, {"follow", log_options.follow}};
  co_return co_await BeginSource(loop_, std::move(options));
}

asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSink>>> LxcRuntime::PushFile(
    PushRequest request) {
  RuntimeProcess::Options options;
  options.argv = Argv("push");
  options.request = {{"id", request.id.str()},
                     {"path", request.path},
                     {"tree", request.kind == TransferKind::kTree},
                     {"mode", request.mode}};
  if (request.uid.has_value()) {
    options.request["uid"] = *request.uid;
  }
  if (request.gid.has_value()) {
    options.request["gid"] = *request.gid;
  }
  if (request.size.has_value()) {
    options.request["size_bytes"] = request.size->count;
  }
  co_return co_await BeginSink(loop_, std::move(options), request.size);
}

asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSource>>> LxcRuntime::PullFile(
    PullRequest request) {
  RuntimeProcess::Options options;
  options.argv = Argv("pull");
  options.request = {{"id", request.id.str()},
                     {"path", request.path},
                     {"tree", request.kind == TransferKind::kTree}};
  co_return co_await BeginSource(loop_, std::move(options));
}

asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSource>>> LxcRuntime::ExportLayer(
    ContainerId id) {
  RuntimeProcess::Options options;
  options.argv = Argv("export");
  options.request = {{"id", id.str()}};
  co_return co_await BeginSource(loop_, std::move(options));
}

asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSink>>> LxcRuntime::ImportLayer(
    RuntimeSpec spec) {
  RuntimeProcess::Options options;
  options.argv = Argv("import");
  options.request = {{"spec", ToJson(spec)}};
  constexpr Bytes kNotAnnounced{INT64_MAX};  // the stream says itself where it ends
  co_return co_await BeginSink(loop_, std::move(options), kNotAnnounced);
}

}  // namespace bramble::node
