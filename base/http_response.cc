// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include <boost/system/system_error.hpp>

#include "base/encoding.h"
#include "base/http_connection.h"
#include "base/status.h"
#include "base/websocket_frames.h"

namespace bramble {
namespace {

// One TLS record (RFC 8446, 5.1): the head and what of the body fits go out together.
constexpr size_t kRecordBytes = 16 * 1024;
constexpr size_t kFileChunkBytes = 128 * 1024;
// A connection that once sent a large head does not keep its buffer.
constexpr size_t kKeptBufferBytes = 32 * 1024;

bool HasToken(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    std::string_view piece = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), piece.size() + 1));
    while (!piece.empty() && piece.front() == ' ') {
      piece.remove_prefix(1);
    }
    while (!piece.empty() && piece.back() == ' ') {
      piece.remove_suffix(1);
    }
    if (EqualIgnoringCase(piece, token)) {
      return true;
    }
  }
  return false;
}

// Takes what could end a header early out of a value that a handler took from somewhere.
void AppendHeaderText(std::string& out, std::string_view text) {
  for (const char c : text) {
    out += c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
  }
}

absl::StatusOr<std::string> ReadAt(int fd, uint64_t offset, size_t size) {
  std::string bytes(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t got =
        ::pread(fd, bytes.data() + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      return got < 0 ? ErrnoStatus(errno, "reading a file to send")
                     : absl::DataLossError("a file became shorter while it was sent");
    }
    done += static_cast<size_t>(got);
  }
  return bytes;
}

}  // namespace

class ConnectionWriter : public ResponseWriter {
 public:
  ConnectionWriter(HttpConnection& connection, bool chunked)
      : connection_(connection), chunked_(chunked) {}

  asio::awaitable<absl::Status> Write(std::string bytes) override {
    if (bytes.empty()) {
      co_return absl::OkStatus();
    }
    if (chunked_) {
      char size[32];
      std::snprintf(size, sizeof(size), "%zx\r\n", bytes.size());
      bytes.insert(0, size);
      bytes += "\r\n";
    }
    if (!co_await connection_.WriteBytes(bytes)) {
      co_return absl::UnavailableError("the client is gone");
    }
    co_return absl::OkStatus();
  }

 private:
  HttpConnection& connection_;
  bool chunked_;
};

std::string_view HttpConnection::DateLine() {
  const auto now = std::chrono::system_clock::now();
  if (now >= service_->date_until) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    char text[64];
    // RFC 9110, 5.6.7; the C locale is all that is ever set.
    std::strftime(text, sizeof(text), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
    service_->date_line = text;
    service_->date_until = std::chrono::system_clock::from_time_t(seconds + 1);
  }
  return service_->date_line;
}

// Begins out_ anew with the status line and the headers.
void HttpConnection::AppendHead(const Response& response, std::optional<uint64_t> length) {
  out_.clear();
  if (response.status == 200) {
    out_ += "HTTP/1.1 200 OK\r\n";
  } else {
    out_ += StrCat("HTTP/1.1 ", response.status, " ", HttpReason(response.status), "\r\n");
  }
  out_ += DateLine();
  if (!response.content_type.empty() && length != 0u) {
    out_ += "Content-Type: ";
    AppendHeaderText(out_, response.content_type);
    out_ += "\r\n";
  }
  // RFC 9110, 8.6: these have no body and say no length.
  if (length.has_value() && response.status != 204 && response.status != 304) {
    char digits[40];
    const int size = std::snprintf(digits, sizeof(digits), "Content-Length: %llu\r\n",
                                   static_cast<unsigned long long>(*length));
    out_.append(digits, static_cast<size_t>(size));
  }
  for (const auto& [name, value] : response.headers) {
    AppendHeaderText(out_, name);
    out_ += ": ";
    AppendHeaderText(out_, value);
    out_ += "\r\n";
  }
  out_ += service_->always;
  if (!keep_) {
    out_ += "Connection: close\r\n";
  } else if (!head_.http11) {
    out_ += "Connection: keep-alive\r\n";
  }
}

asio::awaitable<bool> HttpConnection::WriteBytes(std::string_view bytes) {
  while (!bytes.empty()) {
    absl::StatusOr<std::optional<size_t>> taken = stream_->TryWrite(bytes);
    if (!taken.ok()) {
      co_return false;
    }
    if (taken->has_value()) {
      bytes.remove_prefix(**taken);
      continue;
    }
    WaitBegins(service_->options.limits.write_stall, /*disposable=*/false);
    absl::Status ready = co_await stream_->Writable();
    WaitEnds();
    if (!ready.ok()) {
      co_return false;
    }
  }
  co_return true;
}

asio::awaitable<bool> HttpConnection::WriteResponse(Response response) {
  if (auto* text = std::get_if<std::string>(&response.body)) {
    co_return co_await WriteWhole(response, *text);
  }
  if (auto* shared = std::get_if<std::shared_ptr<const std::string>>(&response.body)) {
    const std::string_view body = *shared != nullptr ? std::string_view(**shared) : "";
    co_return co_await WriteWhole(response, body);
  }
  if (auto* file = std::get_if<FileBody>(&response.body)) {
    FileBody body = std::move(*file);
    co_return co_await WriteFile(std::move(response), std::move(body));
  }
  if (auto* stream = std::get_if<StreamBody>(&response.body)) {
    StreamBody body = std::move(*stream);
    co_return co_await WriteStream(std::move(response), std::move(body));
  }
  WebSocketBody socket = std::move(std::get<WebSocketBody>(response.body));
  co_return co_await HandOver(std::move(response), std::move(socket));
}

asio::awaitable<bool> HttpConnection::WriteWhole(const Response& response, std::string_view body) {
  AppendHead(response, body.size());
  out_ += "\r\n";
  if (request_.method == "HEAD") {
    body = {};
  }
  const size_t together =
      std::min(body.size(), out_.size() < kRecordBytes ? kRecordBytes - out_.size() : size_t{0});
  out_ += body.substr(0, together);
  bool written = co_await WriteBytes(out_);
  if (written && together < body.size()) {
    written = co_await WriteBytes(body.substr(together));
  }
  if (out_.capacity() > kKeptBufferBytes) {
    std::string().swap(out_);
  }
  co_return written;
}

asio::awaitable<bool> HttpConnection::WriteFile(Response response, FileBody file) {
  uint64_t offset = 0;
  uint64_t left = file.size;
  response.headers.Add("Accept-Ranges", "bytes");
  const std::string_view if_range = request_.headers.Get("If-Range");
  const bool range_holds = if_range.empty() || if_range == response.headers.Get("ETag");
  if (response.status == 200 && range_holds) {
    const auto range = ParseByteRange(request_.headers.Get("Range"), file.size);
    if (!range.ok()) {
      Response refusal = Problem(416, "range_not_satisfiable", MessageOf(range.status()));
      refusal.headers.Add("Content-Range", StrCat("bytes */", file.size));
      co_return co_await WriteResponse(std::move(refusal));
    }
    if (range->has_value()) {
      offset = (*range)->first;
      left = (*range)->count;
      response.status = 206;
      response.headers.Add("Content-Range",
                           StrCat("bytes ", offset, "-", offset + left - 1, "/", file.size));
    }
  }
  AppendHead(response, left);
  out_ += "\r\n";
  if (!co_await WriteBytes(out_)) {
    co_return false;
  }
  while (left > 0 && request_.method != "HEAD") {
    const size_t size = static_cast<size_t>(std::min<uint64_t>(left, kFileChunkBytes));
    auto read = [fd = file.fd, offset, size] { return ReadAt(fd->get(), offset, size); };
    absl::StatusOr<std::string> chunk;
    if (service_->options.file_lane != nullptr) {
      chunk = co_await service_->options.file_lane->Run(read);
    } else {
      chunk = read();
    }
    if (!chunk.ok()) {
      service_->log.Error("file_send_failed", {{"path", request_.path}, {"error", chunk.status()}});
      co_return false;
    }
    if (!co_await WriteBytes(*chunk)) {
      co_return false;
    }
    offset += size;
    left -= size;
  }
  co_return true;
}

asio::awaitable<bool> HttpConnection::WriteStream(Response response, StreamBody stream) {
  const bool chunked = head_.http11;
  keep_ = keep_ && chunked;
  AppendHead(response, std::nullopt);
  out_ += chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n";
  if (!co_await WriteBytes(out_)) {
    co_return false;
  }
  if (request_.method == "HEAD") {
    co_return true;
  }
  ConnectionWriter writer(*this, chunked);
  absl::Status ended;
  try {
    ended = co_await stream(writer);
  } catch (const boost::system::system_error&) {
    throw;  // our own cancellation
  } catch (const std::exception& error) {
    ended = absl::InternalError(error.what());
  }
  // A body cut off without its last chunk tells the client that it is not whole.
  if (!ended.ok()) {
    co_return false;
  }
  static constexpr std::string_view kLastChunk = "0\r\n\r\n";
  if (chunked) {
    co_return co_await WriteBytes(kLastChunk);
  }
  co_return true;
}

asio::awaitable<bool> HttpConnection::HandOver(Response response, WebSocketBody socket) {
  const std::string_view key = request_.headers.Get("Sec-WebSocket-Key");
  const bool asked = HasToken(request_.headers.Get("Connection"), "upgrade") &&
                     HasToken(request_.headers.Get("Upgrade"), "websocket") &&
                     request_.method == "GET" && key.size() == 24;
  if (!asked || request_.headers.Get("Sec-WebSocket-Version") != "13") {
    Response refusal = Problem(426, "upgrade_required", "this is a WebSocket (version 13)");
    refusal.headers.Add("Upgrade", "websocket");
    refusal.headers.Add("Sec-WebSocket-Version", "13");
    co_return co_await WriteResponse(std::move(refusal));
  }
  response.status = 101;
  response.headers.Add("Upgrade", "websocket");
  response.headers.Add("Sec-WebSocket-Accept", WebSocketAccept(key));
  if (!socket.options.subprotocol.empty()) {
    response.headers.Add("Sec-WebSocket-Protocol", socket.options.subprotocol);
  }
  keep_ = true;
  AppendHead(response, std::nullopt);
  const size_t type = out_.find("Content-Type:");
  if (type != std::string::npos) {
    out_.erase(type, out_.find("\r\n", type) + 2 - type);
  }
  out_ += "Connection: Upgrade\r\n\r\n";
  if (!co_await WriteBytes(out_)) {
    co_return false;
  }
  WaitEnds();
  std::string rest = in_.substr(in_start_);
  auto upgraded =
      std::make_unique<WebSocket>(service_->loop, std::move(stream_), WebSocket::Role::kServer,
                                  socket.options, std::move(rest));
  request_.connection = nullptr;
  in_ = std::string();
  out_ = std::string();
  co_await socket.run(std::move(upgraded));
  co_return false;
}

}  // namespace bramble
