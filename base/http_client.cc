// SPDX-License-Identifier: Apache-2.0
#include "base/http_client.h"

#include <unistd.h>

#include <cerrno>

#include <boost/asio/steady_timer.hpp>

#include "base/http_parser.h"
#include "base/status.h"

namespace bramble {
namespace {

constexpr size_t kReadBytes = 16 * 1024;
constexpr size_t kFileChunkBytes = 128 * 1024;

bool IsRepeatable(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE";
}

}  // namespace

struct HttpClient::State : std::enable_shared_from_this<HttpClient::State> {
  explicit State(HttpClientOptions options_in) : options(std::move(options_in)) {
    if (options.host_header.empty()) {
      options.host_header = options.target.str();
    }
  }

  asio::awaitable<absl::Status> Dial();
  bool StillOpen();
  std::string HeadOf(const HttpRequest& request) const;
  asio::awaitable<absl::Status> SendRequest(const HttpRequest& request);
  asio::awaitable<absl::Status> SendFile(const HttpRequest& request);
  asio::awaitable<absl::Status> WriteBytes(std::string_view bytes);
  asio::awaitable<absl::Status> ReadReply(const HttpRequest& request);
  // Reads into in; OK and no new bytes at the end of the connection.
  asio::awaitable<absl::Status> ReadMore(std::chrono::milliseconds limit);
  asio::awaitable<absl::Status> Exchange(const HttpRequest& request);
  asio::awaitable<absl::StatusOr<std::string>> ReadPiece(std::chrono::milliseconds limit);
  void Arm(std::chrono::milliseconds limit);
  absl::Status Disarm(absl::Status status);
  void Close();
  // After the reply's end: keeps the connection or closes it.
  void EndReply();

  HttpClientOptions options;
  std::unique_ptr<TlsStream> stream;
  std::optional<asio::steady_timer> timer;
  bool late = false;
  std::chrono::milliseconds armed{0};
  std::string in;
  bool at_eof = false;
  bool got_bytes = false;  // of the present reply
  HttpReply reply;
  std::optional<HttpReplyParser> parser;  // set while a reply is open
  std::string lines;                      // read, and not yet given out by ReadLine
  size_t searched = 0;                    // of lines: without an end of line
};

void HttpClient::State::Arm(std::chrono::milliseconds limit) {
  late = false;
  armed = limit;
  timer->expires_after(limit);
  timer->async_wait([weak = weak_from_this()](boost::system::error_code error) {
    const std::shared_ptr<State> state = weak.lock();
    if (!error && state != nullptr && state->stream != nullptr &&
        state->timer->expiry() <= std::chrono::steady_clock::now()) {
      state->late = true;
      state->stream->Abort();
    }
  });
}

absl::Status HttpClient::State::Disarm(absl::Status status) {
  timer->expires_at(asio::steady_timer::time_point::max());
  if (late) {
    return absl::DeadlineExceededError(
        StrCat(options.target.str(), ": no answer within ", armed.count(), " ms"));
  }
  return status;
}

void HttpClient::State::Close() {
  if (stream != nullptr) {
    stream->Close();
    stream.reset();
  }
  parser.reset();
  in.clear();
  lines.clear();
  searched = 0;
  at_eof = false;
}

// Whether the server still listens on the connection of the last request.
bool HttpClient::State::StillOpen() {
  if (stream == nullptr || parser.has_value() || !stream->is_open() || !in.empty()) {
    return false;
  }
  char byte;
  const auto got = stream->TryRead(&byte, 1);
  return got.ok() && !got->has_value();
}

asio::awaitable<absl::Status> HttpClient::State::Dial() {
  Close();
  auto connected = co_await TlsStream::Connect(options.tls, options.target, options.connect_limit);
  if (!connected.ok()) {
    co_return connected.status();
  }
  stream = *std::move(connected);
  timer.emplace(co_await asio::this_coro::executor);
  co_return absl::OkStatus();
}

std::string HttpClient::State::HeadOf(const HttpRequest& request) const {
  std::string head = StrCat(request.method, " ", request.target,
                            " HTTP/1.1\r\nHost: ", options.host_header, "\r\n");
  if (!request.headers.Has("User-Agent")) {
    head += StrCat("User-Agent: bramble/", BRAMBLE_VERSION, "\r\n");
  }
  const bool has_body = request.file != nullptr || !request.body.empty();
  if (has_body) {
    head += StrCat("Content-Type: ", request.content_type, "\r\n");
  }
  if (has_body || (request.method != "GET" && request.method != "HEAD")) {
    head += StrCat("Content-Length: ",
                   request.file != nullptr ? request.file_size : request.body.size(), "\r\n");
  }
  for (const auto& [name, value] : request.headers) {
    head += StrCat(name, ": ", value, "\r\n");
  }
  head += "\r\n";
  return head;
}

asio::awaitable<absl::Status> HttpClient::State::WriteBytes(std::string_view bytes) {
  while (!bytes.empty()) {
    absl::StatusOr<std::optional<size_t>> taken = stream->TryWrite(bytes);
    if (!taken.ok()) {
      co_return taken.status();
    }
    if (taken->has_value()) {
      bytes.remove_prefix(**taken);
      continue;
    }
    Arm(options.stall_limit);
    absl::Status ready = co_await stream->Writable();
    ready = Disarm(std::move(ready));
    if (!ready.ok()) {
      co_return ready;
    }
  }
  co_return absl::OkStatus();
}

asio::awaitable<absl::Status> HttpClient::State::SendFile(const HttpRequest& request) {
  std::string chunk;
  uint64_t sent = 0;
  while (sent < request.file_size) {
    chunk.resize(std::min<uint64_t>(kFileChunkBytes, request.file_size - sent));
    const ssize_t got =
        ::pread(request.file->get(), chunk.data(), chunk.size(), static_cast<off_t>(sent));
    if (got <= 0) {
      co_return got < 0 ? ErrnoStatus(errno, "reading the file to send")
                        : absl::DataLossError("the file became shorter while it was sent");
    }
    chunk.resize(static_cast<size_t>(got));
    absl::Status written = co_await WriteBytes(chunk);
    if (!written.ok()) {
      co_return written;
    }
    sent += chunk.size();
    if (request.progress) {
      request.progress(sent);
    }
    // A server that refuses says so early, and need not be sent the rest.
    char byte;
    const auto early = stream->TryRead(&byte, 1);
    if (early.ok() && early->has_value() && **early == 1) {
      in.append(1, byte);
      co_return absl::OkStatus();
    }
  }
  co_return absl::OkStatus();
}

asio::awaitable<absl::Status> HttpClient::State::SendRequest(const HttpRequest& request) {
  std::string head = HeadOf(request);
  if (request.file == nullptr) {
    head += request.body;
  }
  absl::Status sent = co_await WriteBytes(head);
  if (sent.ok() && request.file != nullptr) {
    sent = co_await SendFile(request);
  }
  co_return sent;
}

asio::awaitable<absl::Status> HttpClient::State::ReadMore(std::chrono::milliseconds limit) {
  char bytes[kReadBytes];
  for (;;) {
    absl::StatusOr<std::optional<size_t>> got = stream->TryRead(bytes, sizeof(bytes));
    if (!got.ok()) {
      co_return got.status();
    }
    if (got->has_value()) {
      in.append(bytes, **got);
      at_eof = **got == 0;
      got_bytes = got_bytes || !at_eof;
      co_return absl::OkStatus();
    }
    Arm(limit);
    absl::Status ready = co_await stream->Readable();
    ready = Disarm(std::move(ready));
    if (!ready.ok()) {
      co_return ready;
    }
  }
}

asio::awaitable<absl::Status> HttpClient::State::ReadReply(const HttpRequest& request) {
  const auto begin = [this, &request] {
    reply = HttpReply();
    parser.emplace(reply, options.max_header_bytes);
    if (request.method == "HEAD") {
      parser->ExpectNoBody();
    }
  };
  begin();
  for (;;) {
    absl::Status parsed = parser->Push(in);
    if (!parsed.ok()) {
      co_return parsed;
    }
    if (parser->header_done()) {
      // 100 Continue and 103 Early Hints come before the answer.
      if (reply.status >= 200 || reply.status == 101) {
        co_return absl::OkStatus();
      }
      begin();
      continue;
    }
    absl::Status read = co_await ReadMore(options.reply_limit);
    if (!read.ok()) {
      co_return read;
    }
    if (at_eof) {
      co_return absl::UnavailableError("closed without an answer");
    }
  }
}

asio::awaitable<absl::Status> HttpClient::State::Exchange(const HttpRequest& request) {
  const bool reused = StillOpen();
  lines.clear();
  searched = 0;
  if (!reused) {
    absl::Status dialled = co_await Dial();
    if (!dialled.ok()) {
      co_return dialled;
    }
  }
  for (bool again = reused;; again = false) {
    got_bytes = false;
    absl::Status done = co_await SendRequest(request);
    // An answer may be there even when the server did not take the whole request.
    absl::Status answered = done;
    if (done.ok() || absl::IsUnavailable(done)) {
      // Not as `? :`, whose temporaries GCC 12.2 destroys twice when one arm is awaited.
      answered = co_await ReadReply(request);
    }
    if (answered.ok()) {
      co_return absl::OkStatus();
    }
    const bool stale = again && !got_bytes && absl::IsUnavailable(answered);
    Close();
    if (!stale || !IsRepeatable(request.method)) {
      co_return Annotate(answered, StrCat(request.method, " ", options.target.str(),
                                          request.target.substr(0, request.target.find('?'))));
    }
    absl::Status dialled = co_await Dial();
    if (!dialled.ok()) {
      co_return dialled;
    }
  }
}

void HttpClient::State::EndReply() {
  const bool keep = parser.has_value() && parser->done() && parser->keep_alive();
  parser.reset();
  if (!keep) {
    Close();
  }
}

asio::awaitable<absl::StatusOr<std::string>> HttpClient::State::ReadPiece(
    std::chrono::milliseconds limit) {
  while (parser.has_value()) {
    absl::Status parsed = parser->Push(in);
    if (!parsed.ok()) {
      Close();
      co_return parsed;
    }
    if (!parser->body().empty()) {
      co_return parser->TakeBody();
    }
    if (parser->done()) {
      EndReply();
      break;
    }
    absl::Status read = co_await ReadMore(limit);
    if (read.ok() && at_eof) {
      read = parser->FinishAtEof();
    }
    if (!read.ok()) {
      Close();
      co_return Annotate(read, options.target.str());
    }
  }
  co_return std::string();
}

HttpClient::HttpClient(HttpClientOptions options)
    : state_(std::make_shared<State>(std::move(options))) {}

HttpClient::~HttpClient() {
  if (state_ != nullptr) {
    state_->Close();
  }
}

void HttpClient::Close() { state_->Close(); }

asio::awaitable<absl::StatusOr<TlsStream*>> HttpClient::Connect() {
  if (!state_->StillOpen()) {
    absl::Status dialled = co_await state_->Dial();
    if (!dialled.ok()) {
      co_return dialled;
    }
  }
  co_return state_->stream.get();
}

asio::awaitable<absl::StatusOr<HttpReply>> HttpClient::Open(HttpRequest request) {
  absl::Status exchanged = co_await state_->Exchange(request);
  if (!exchanged.ok()) {
    co_return exchanged;
  }
  co_return state_->reply;
}

asio::awaitable<absl::StatusOr<std::string>> HttpClient::Read() {
  return state_->ReadPiece(state_->options.stall_limit);
}

asio::awaitable<absl::StatusOr<HttpReply>> HttpClient::Send(HttpRequest request) {
  absl::Status exchanged = co_await state_->Exchange(request);
  if (!exchanged.ok()) {
    co_return exchanged;
  }
  HttpReply reply = std::move(state_->reply);
  for (;;) {
    auto piece = co_await state_->ReadPiece(state_->options.stall_limit);
    if (!piece.ok()) {
      co_return piece.status();
    }
    if (piece->empty()) {
      co_return reply;
    }
    reply.body += *piece;
    if (reply.body.size() > state_->options.max_body_bytes) {
      state_->Close();
      co_return absl::ResourceExhaustedError(
          StrCat(request.method, " ", state_->options.target.str(), request.target,
                 ": an answer of more than ", state_->options.max_body_bytes, " bytes"));
    }
  }
}

asio::awaitable<absl::StatusOr<std::optional<std::string>>> HttpClient::ReadLine(
    std::chrono::milliseconds limit, size_t max_bytes) {
  State& state = *state_;
  for (;;) {
    const size_t end = state.lines.find('\n', state.searched);
    if (end != std::string::npos) {
      std::optional<std::string> line = state.lines.substr(0, end);
      if (!line->empty() && line->back() == '\r') {
        line->pop_back();
      }
      state.lines.erase(0, end + 1);
      state.searched = 0;
      co_return line;
    }
    state.searched = state.lines.size();
    if (state.lines.size() > max_bytes) {
      state.Close();
      co_return absl::ResourceExhaustedError(StrCat("a line of more than ", max_bytes, " bytes"));
    }
    // Closing, at the reply's end, drops `lines`: keep them.
    std::string kept = std::move(state.lines);
    auto piece = co_await state.ReadPiece(limit);
    if (!piece.ok()) {
      co_return piece.status();
    }
    state.lines = std::move(kept);
    if (piece->empty()) {
      if (state.lines.empty()) {
        co_return std::optional<std::string>();
      }
      co_return std::optional<std::string>(std::exchange(state.lines, std::string()));
    }
    state.lines += *piece;
  }
}

}  // namespace bramble
