// SPDX-License-Identifier: Apache-2.0
#include "node/uplink/stream_server.h"

#include "api/problem.h"
#include "base/status.h"
#include "base/timer.h"

namespace bramble::node {
namespace {

enum class Channel : char { kIn = 0, kOut = 1, kError = 2, kControl = 3 };

constexpr size_t kMaxControlBytes = 4096;
constexpr int64_t kMaxTerminal = 10'000;  // rows or columns

WebSocketOptions SocketOptions() {
  return {.max_message_bytes = 1 << 20, .max_queued_bytes = 1 << 20};
}

WebSocketMessage Frame(Channel channel, std::string_view bytes) {
  WebSocketMessage message{.binary = true};
  message.bytes.reserve(bytes.size() + 1);
  message.bytes.push_back(static_cast<char>(channel));
  message.bytes.append(bytes);
  return message;
}

WebSocketMessage Control(const json::object& object) {
  return Frame(Channel::kControl, json::serialize(object));
}

TransferKind KindOf(const api::OpenStream& wanted) {
  return wanted.tree ? TransferKind::kTree : TransferKind::kFile;
}

TerminalSize SizeOf(int64_t rows, int64_t columns) {
  TerminalSize size;
  if (rows > 0 && rows <= kMaxTerminal && columns > 0 && columns <= kMaxTerminal) {
    size.rows = static_cast<uint16_t>(rows);
    size.columns = static_cast<uint16_t>(columns);
  }
  return size;
}

}  // namespace

struct StreamServer::Stream {
  Stream(asio::io_context& loop, api::OpenStream wanted, std::unique_ptr<WebSocket> connected,
         Logger log)
      : request(std::move(wanted)),
        socket(std::move(connected)),
        finished(loop),
        scope(loop, log) {}

  const api::OpenStream request;
  std::unique_ptr<WebSocket> socket;
  std::unique_ptr<ContainerStream> terminal;
  bool peer_gone = false;
  absl::StatusOr<int> result = absl::CancelledError("the stream was closed");
  Event finished;  // the work has its result, or the other end is gone
  Scope scope;
};

void StreamServer::Open(api::OpenStream request) {
  if (scope_.running() >= kMaxStreams) {
    log_.Warn("stream_refused", {{"limit", kMaxStreams}});
    return;
  }
  Spawn(scope_, "stream", Serve(std::move(request)));
}

asio::awaitable<absl::Status> StreamServer::Serve(api::OpenStream request) {
  absl::StatusOr<ControllerAccess::Dial> access = access_.Get();
  if (!access.ok()) {
    co_return access.status();
  }
  WebSocket::Dial dial{.target = access->target,
                       .tls = access->tls,
                       .path = StrCat("/v1/streams/", request.ticket),
                       .options = SocketOptions()};
  absl::StatusOr<std::unique_ptr<WebSocket>> socket = co_await WebSocket::Connect(std::move(dial));
  if (!socket.ok()) {
    co_return socket.status();
  }
  auto stream = std::make_shared<Stream>(loop_, std::move(request), *std::move(socket), log_);
  // Held until its tasks have ended, also when this one is cancelled: Stop waits for them then.
  open_.insert(stream);
  Spawn(stream->scope, "stream_work", Work(stream));
  co_await stream->finished.Wait();
  if (!stream->peer_gone) {
    json::object last;
    if (stream->result.ok()) {
      last["exit"] = json::object{{"code", *stream->result}};
    } else {
      const api::Problem problem = api::ProblemOf(stream->result.status());
      last["error"] = problem.detail;
      last["code"] = problem.code;
    }
    (void)co_await stream->socket->Send(Control(last));
    co_await stream->socket->Close(kWebSocketNormal, "");
  }
  // Only now: ending a Receive that is under way takes its connection along.
  co_await stream->scope.Join();
  open_.erase(stream);
  co_return absl::OkStatus();
}

asio::awaitable<void> StreamServer::Stop() {
  co_await scope_.Join();
  while (!open_.empty()) {
    const std::shared_ptr<Stream> stream = *open_.begin();
    co_await stream->scope.Join();
    open_.erase(stream);
  }
}

asio::awaitable<void> StreamServer::Work(std::shared_ptr<Stream> stream) {
  stream->result = co_await Run(stream);
  stream->finished.Set();
}

asio::awaitable<absl::StatusOr<int>> StreamServer::Run(std::shared_ptr<Stream> stream) {
  switch (stream->request.kind) {
    case api::StreamKind::kExec:
    case api::StreamKind::kConsole:
      return RunTerminal(std::move(stream));
    case api::StreamKind::kLogs:
    case api::StreamKind::kPull:
    case api::StreamKind::kExport:
      return RunSource(std::move(stream));
    case api::StreamKind::kPush:
    case api::StreamKind::kImport:
      break;
  }
  return RunSink(std::move(stream));
}

// ---- exec and console

asio::awaitable<absl::StatusOr<int>> StreamServer::RunTerminal(std::shared_ptr<Stream> stream) {
  const api::OpenStream& wanted = stream->request;
  const TerminalSize size = SizeOf(wanted.rows, wanted.columns);
  absl::StatusOr<std::unique_ptr<ContainerStream>> opened = nullptr;
  if (wanted.kind == api::StreamKind::kConsole) {
    opened = co_await containers_.Console(wanted.container, size);
  } else {
    ExecRequest exec{.id = wanted.container,
                     .argv = wanted.command,
                     .environment = wanted.environment,
                     .user = wanted.user,
                     .working_directory = wanted.working_directory,
                     .interactive = wanted.interactive};
    if (wanted.tty) {
      exec.terminal = size;
    }
    opened = co_await containers_.Exec(std::move(exec));
  }
  if (!opened.ok()) {
    co_return opened.status();
  }
  stream->terminal = *std::move(opened);
  Spawn(stream->scope, "stream_input", TakeInput(stream));
  while (true) {
    absl::StatusOr<StreamPiece> piece = co_await stream->terminal->Read();
    if (!piece.ok()) {
      co_return piece.status();
    }
    if (piece->kind == StreamPiece::Kind::kExit) {
      co_return piece->exit_code;
    }
    const Channel channel =
        piece->kind == StreamPiece::Kind::kErr ? Channel::kError : Channel::kOut;
    const absl::Status sent = co_await stream->socket->Send(Frame(channel, piece->bytes));
    if (!sent.ok()) {
      co_return sent;
    }
  }
}

// What the person types, until the stream ends; their going away ends it.
asio::awaitable<void> StreamServer::TakeInput(std::shared_ptr<Stream> stream) {
  while (true) {
    absl::StatusOr<std::optional<WebSocketMessage>> message = co_await stream->socket->Receive();
    if (!message.ok() || !message->has_value()) {
      stream->peer_gone = true;
      stream->finished.Set();
      co_return;
    }
    const std::string& bytes = (*message)->bytes;
    if (!(*message)->binary || bytes.empty()) {
      continue;
    }
    if (static_cast<Channel>(bytes[0]) == Channel::kIn) {
      // An ended command does not read any more: what is typed then is lost, as in a shell.
      (void)co_await stream->terminal->Write(bytes.substr(1));
      continue;
    }
    absl::StatusOr<json::value> value =
        ParseJson(std::string_view(bytes).substr(1), kMaxControlBytes);
    if (static_cast<Channel>(bytes[0]) != Channel::kControl || !value.ok()) {
      continue;
    }
    JsonObjectReader control(*value, "control");
    if (const json::value* resize = control.Find("resize")) {
      JsonObjectReader size(*resize, "resize");
      const int64_t rows = size.OptionalInt("rows").value_or(0);
      const int64_t columns = size.OptionalInt("columns").value_or(0);
      (void)stream->terminal->Resize(SizeOf(rows, columns));
    }
    if (const auto signal = control.OptionalInt("signal", {.min = 1, .max = 64})) {
      (void)stream->terminal->Signal(static_cast<int>(*signal));
    }
    if (control.OptionalBool("eof").value_or(false)) {
      (void)co_await stream->terminal->CloseInput();
    }
  }
}

// ---- logs, pull and export

asio::awaitable<absl::StatusOr<int>> StreamServer::RunSource(std::shared_ptr<Stream> stream) {
  const api::OpenStream& wanted = stream->request;
  absl::StatusOr<std::unique_ptr<ByteSource>> source = nullptr;
  if (wanted.kind == api::StreamKind::kLogs) {
    const ContainerAccess::LogOptions options{.tail_lines = wanted.tail_lines,
                                              .follow = wanted.follow};
    source = co_await containers_.Log(wanted.container, options);
  } else if (wanted.kind == api::StreamKind::kExport) {
    source = co_await containers_.ExportLayer(wanted.container);
  } else {
    PullRequest pull{.id = wanted.container, .kind = KindOf(wanted), .path = wanted.path};
    source = co_await containers_.PullFile(std::move(pull));
  }
  if (!source.ok()) {
    co_return source.status();
  }
  Spawn(stream->scope, "stream_watch", WatchClose(stream));
  while (true) {
    absl::StatusOr<std::string> bytes = co_await (*source)->Read();
    if (!bytes.ok()) {
      co_return bytes.status();
    }
    if (bytes->empty()) {
      co_return 0;
    }
    const absl::Status sent = co_await stream->socket->Send(Frame(Channel::kOut, *bytes));
    if (!sent.ok()) {
      co_return sent;
    }
  }
}

asio::awaitable<void> StreamServer::WatchClose(std::shared_ptr<Stream> stream) {
  while (true) {
    absl::StatusOr<std::optional<WebSocketMessage>> message = co_await stream->socket->Receive();
    if (!message.ok() || !message->has_value()) {
      stream->peer_gone = true;
      stream->finished.Set();
      co_return;
    }
  }
}

// ---- push and import

asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSink>>> StreamServer::OpenSink(
    api::OpenStream wanted) {
  if (wanted.kind == api::StreamKind::kImport) {
    absl::StatusOr<RuntimeSpec> spec = co_await agent_.PrepareImport(wanted.container, wanted.move);
    if (!spec.ok()) {
      co_return spec.status();
    }
    co_return co_await containers_.ImportLayer(*std::move(spec));
  }
  PushRequest push;
  push.id = wanted.container;
  push.kind = KindOf(wanted);
  push.path = wanted.path;
  if (wanted.uid >= 0) {
    push.uid = static_cast<uint32_t>(wanted.uid);
  }
  if (wanted.gid >= 0) {
    push.gid = static_cast<uint32_t>(wanted.gid);
  }
  if (wanted.size_bytes >= 0 && !wanted.tree) {
    push.size = Bytes{wanted.size_bytes};
  }
  if (wanted.mode != 0) {
    push.mode = static_cast<uint32_t>(wanted.mode);
  }
  co_return co_await containers_.PushFile(std::move(push));
}

asio::awaitable<absl::StatusOr<int>> StreamServer::RunSink(std::shared_ptr<Stream> stream) {
  absl::StatusOr<std::unique_ptr<ByteSink>> sink = co_await OpenSink(stream->request);
  if (stream->request.kind == api::StreamKind::kImport && absl::IsAlreadyExists(sink.status())) {
    co_return 0;
  }
  if (!sink.ok()) {
    co_return sink.status();
  }
  if (stream->request.kind == api::StreamKind::kImport) {
    WebSocketMessage word = Control(json::object{{"ready", true}});
    const absl::Status ready = co_await stream->socket->Send(std::move(word));
    if (!ready.ok()) {
      co_return ready;
    }
  }
  while (true) {
    absl::StatusOr<std::optional<WebSocketMessage>> message = co_await stream->socket->Receive();
    if (!message.ok() || !message->has_value()) {
      stream->peer_gone = true;
      co_return absl::CancelledError("the sender went away before the end");
    }
    const std::string& bytes = (*message)->bytes;
    if (!(*message)->binary || bytes.empty()) {
      continue;
    }
    if (static_cast<Channel>(bytes[0]) == Channel::kIn) {
      const absl::Status written = co_await (*sink)->Write(bytes.substr(1));
      if (!written.ok()) {
        co_return written;
      }
    } else if (static_cast<Channel>(bytes[0]) == Channel::kControl) {
      absl::StatusOr<json::value> value =
          ParseJson(std::string_view(bytes).substr(1), kMaxControlBytes);
      if (value.ok() && JsonObjectReader(*value, "control").OptionalBool("eof").value_or(false)) {
        const absl::Status finished = co_await (*sink)->Finish();
        if (!finished.ok()) {
          co_return finished;
        }
        co_return 0;
      }
    }
  }
}

}  // namespace bramble::node
