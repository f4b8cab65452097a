// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/terminal_stream.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <memory>
#include <optional>

#include <boost/asio/signal_set.hpp>

#include "base/file.h"
#include "base/json.h"
#include "base/lane.h"
#include "base/run_on_loop.h"
#include "base/scope.h"
#include "base/status.h"
#include "tools/bramble/escape_keys.h"
#include "tools/bramble/terminal.h"

namespace bramble::cli {
namespace {

constexpr size_t kReadBytes = 32 * 1024;
enum Channel : char { kStdin = 0, kStdout = 1, kStderr = 2, kControl = 3 };

WebSocketMessage Framed(Channel channel, std::string_view bytes) {
  WebSocketMessage message;
  message.binary = true;
  message.bytes.reserve(bytes.size() + 1);
  message.bytes += static_cast<char>(channel);
  message.bytes += bytes;
  return message;
}

// Both directions of one stream.  stdin is read on a lane by poll and read, so that the descriptor,
// which the shell shares, is never made non-blocking.
class Pump {
 public:
  Pump(asio::io_context& loop, std::unique_ptr<WebSocket> socket, StreamEnds ends)
      : loop_(loop),
        socket_(std::move(socket)),
        ends_(ends),
        wake_(::eventfd(0, EFD_CLOEXEC)),
        lane_("stdin"),
        scope_(loop) {}
  ~Pump() {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
  }

  asio::awaitable<absl::StatusOr<StreamEnd>> Run() {
    if (ends_.raw_terminal) {
      raw_.emplace(ends_.in);
      SendSize();
      Spawn(scope_, "resize", FollowSize());
    }
    if (ends_.in >= 0) {
      Spawn(scope_, "stdin", SendInput());
    } else {
      // Where it fails, Receive says why.
      socket_->TrySend(Framed(kControl, R"({"eof":true})")).IgnoreError();
    }
    absl::StatusOr<StreamEnd> end = co_await TakeOutput();
    if (raw_.has_value()) {
      raw_->Restore();
    }
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
    co_await scope_.Join();
    co_await socket_->Close(kWebSocketNormal, "", std::chrono::milliseconds(500));
    co_return end;
  }

 private:
  void SendSize() {
    const std::optional<TerminalSize> size = SizeOfTerminal(ends_.in);
    if (size.has_value()) {
      const json::object resize = {{"resize", {{"rows", size->rows}, {"columns", size->columns}}}};
      // A full queue drops it; the next change sends the size anew.
      socket_->TrySend(Framed(kControl, json::serialize(resize))).IgnoreError();
    }
  }

  asio::awaitable<void> FollowSize() {
    asio::signal_set changed(loop_, SIGWINCH);
    while (true) {
      co_await changed.async_wait(asio::use_awaitable);
      SendSize();
    }
  }

  // Blocks until there is input or the pump ends; "" at the end.
  std::string ReadInput() const {
    struct pollfd polled[2] = {{.fd = ends_.in, .events = POLLIN, .revents = 0},
                               {.fd = wake_.get(), .events = POLLIN, .revents = 0}};
    while (::poll(polled, 2, -1) < 0 && errno == EINTR) {
    }
    if (polled[1].revents != 0) {
      return "";
    }
    std::string bytes(kReadBytes, '\0');
    ssize_t got = 0;
    do {
      got = ::read(ends_.in, bytes.data(), bytes.size());
    } while (got < 0 && errno == EINTR);
    bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return bytes;
  }

  asio::awaitable<absl::Status> SendInput() {
    EscapeKeys escape;
    while (true) {
      auto read = [this] { return ReadInput(); };
      const absl::StatusOr<std::string> bytes = co_await lane_.Run(read);
      if (!bytes.ok() || bytes->empty()) {
        break;
      }
      std::string send = *bytes;
      if (ends_.escape) {
        EscapeKeys::Typed typed = escape.Add(*bytes);
        send = std::move(typed.send);
        if (typed.leave) {
          left_ = true;
          co_await socket_->Close(kWebSocketNormal, "", std::chrono::milliseconds(200));
          socket_->Abort();
          co_return absl::OkStatus();
        }
      }
      if (!send.empty()) {
        WebSocketMessage message = Framed(kStdin, send);
        if (absl::Status sent = co_await socket_->Send(std::move(message)); !sent.ok()) {
          co_return absl::OkStatus();  // TakeOutput says why it ended
        }
      }
    }
    WebSocketMessage eof = Framed(kControl, R"({"eof":true})");
    const absl::Status sent = co_await socket_->Send(std::move(eof));
    sent.IgnoreError();  // TakeOutput says why it ended
    co_return absl::OkStatus();
  }

  // nullopt: goes on.
  std::optional<absl::StatusOr<StreamEnd>> OnControl(std::string_view text) {
    const absl::StatusOr<json::value> value = ParseJson(text);
    if (!value.ok() || !value->is_object()) {
      return std::nullopt;
    }
    const json::object& control = value->get_object();
    if (const json::value* exit = control.if_contains("exit"); exit != nullptr) {
      JsonObjectReader reader(*exit, "exit");
      const int64_t code = reader.OptionalInt("code", {.min = 0, .max = 255}).value_or(255);
      return StreamEnd{.exit_code = static_cast<int>(code), .silent = silent_};
    }
    if (const json::value* error = control.if_contains("error");
        error != nullptr && error->is_string()) {
      return absl::FailedPreconditionError(
          std::string(error->get_string().data(), error->get_string().size()));
    }
    return std::nullopt;
  }

  asio::awaitable<absl::StatusOr<StreamEnd>> TakeOutput() {
    while (true) {
      auto message = co_await socket_->Receive();
      if (left_) {
        co_return StreamEnd{.left = true};
      }
      if (!message.ok()) {
        co_return message.status();
      }
      if (!message->has_value()) {
        co_return absl::UnavailableError(StrCat("the stream ended without saying how",
                                                socket_->close_reason().empty() ? "" : ": ",
                                                socket_->close_reason()));
      }
      const std::string_view bytes = (*message)->bytes;
      if (bytes.empty()) {
        continue;
      }
      if (bytes[0] == kControl) {
        if (auto end = OnControl(bytes.substr(1)); end.has_value()) {
          co_return *std::move(end);
        }
      } else if (bytes[0] == kStdout || bytes[0] == kStderr) {
        const int fd = bytes[0] == kStdout ? ends_.out : ends_.err;
        silent_ = false;
        absl::Status written = WriteAll(fd, bytes.substr(1), "output");
        if (!written.ok()) {
          co_return written;
        }
      }
    }
  }

  asio::io_context& loop_;
  std::unique_ptr<WebSocket> socket_;
  const StreamEnds ends_;
  Fd wake_;
  Lane lane_;
  Scope scope_;
  std::optional<RawTerminal> raw_;
  bool left_ = false;
  bool silent_ = true;
};

asio::awaitable<absl::StatusOr<StreamEnd>> ConnectAndRun(asio::io_context& loop,
                                                         WebSocket::Dial dial, StreamEnds ends) {
  auto socket = co_await WebSocket::Connect(std::move(dial));
  if (!socket.ok()) {
    co_return socket.status();
  }
  Pump pump(loop, *std::move(socket), ends);
  co_return co_await pump.Run();
}

}  // namespace

absl::StatusOr<StreamEnd> RunTerminalStream(WebSocket::Dial dial, StreamEnds ends) {
  asio::io_context loop;
  return RunOnLoop(loop, ConnectAndRun(loop, std::move(dial), ends));
}

}  // namespace bramble::cli
