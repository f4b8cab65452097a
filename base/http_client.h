// SPDX-License-Identifier: Apache-2.0
#pragma once

// The HTTPS client.  Follows no redirect.  One connection, one request at a time.

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/asio.h"
#include "base/fd.h"
#include "base/http_message.h"
#include "base/tls.h"

#include "absl/status/statusor.h"

namespace bramble {

struct HttpRequest {
  std::string method = "GET";
  std::string target = "/";
  HeaderList headers;  // Host, Content-Length and User-Agent are added
  std::string body;
  std::string content_type = "application/json";  // sent with a body
  // Instead of `body`: a regular file from its start, `file_size` bytes.
  std::shared_ptr<Fd> file;
  uint64_t file_size = 0;
  // After each piece of the file that was sent: bytes so far.
  std::function<void(uint64_t sent)> progress;
};

struct HttpClientOptions {
  HostPort target;
  std::shared_ptr<TlsClientContext> tls;
  std::string host_header;  // empty: target
  std::chrono::milliseconds connect_limit{10'000};
  std::chrono::milliseconds reply_limit{60'000};  // from the request sent to the reply's headers
  std::chrono::milliseconds stall_limit{60'000};  // without a byte, either way
  size_t max_header_bytes = 32 * 1024;
  size_t max_body_bytes = 64 << 20;  // of a reply read whole
};

// Keeps its connection between requests and dials again when the server has closed it.  Loop only.
class HttpClient {
 public:
  explicit HttpClient(HttpClientOptions options);
  ~HttpClient();

  // Sends `request` and reads the whole reply.  A status of 400 or more is a reply, not an error.
  // kUnavailable: not reached or cut off; kPermissionDenied: the server's key is not the one
  // expected; kDeadlineExceeded; kResourceExhausted: the reply is too large.
  asio::awaitable<absl::StatusOr<HttpReply>> Send(HttpRequest request);

  // Sends `request` and reads the headers of the reply (its body is empty); Read() or ReadLine()
  // then give the body.
  asio::awaitable<absl::StatusOr<HttpReply>> Open(HttpRequest request);
  // The next piece of the open reply, at least one byte; empty at its end.
  // kUnavailable: cut off before its end.
  asio::awaitable<absl::StatusOr<std::string>> Read();
  // The next line of the open reply without its end ("\n" or "\r\n"): server-sent events.  nullopt
  // at the end.  `limit` replaces stall_limit.
  asio::awaitable<absl::StatusOr<std::optional<std::string>>> ReadLine(
      std::chrono::milliseconds limit, size_t max_bytes = 1 << 20);

  // The connection, for peer() and ExportKeyingMaterial(); dialled when there is none.
  asio::awaitable<absl::StatusOr<TlsStream*>> Connect();
  void Close();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

struct DownloadOptions {
  std::string target;  // "/v1/blobs/<sha256>"
  HeaderList headers;
  uint64_t resume_from = 0;  // bytes that the sink already has
  std::optional<uint64_t> expected_size;
  uint64_t max_bytes = 0;  // 0: no limit but expected_size
};
// Gives the body of a GET to `sink` piece by piece, from `resume_from` on (by Range; a server that
// answers with the whole has the first bytes skipped).  Returns the total size.  kUnavailable: cut
// off, resume it.  What `sink` returns ends it.
asio::awaitable<absl::StatusOr<uint64_t>> Download(
    HttpClient& client, DownloadOptions options,
    std::function<asio::awaitable<absl::Status>(std::string)> sink);

// For a program that does one thing at a time: a loop of its own.
class BlockingHttpClient {
 public:
  explicit BlockingHttpClient(HttpClientOptions options);
  ~BlockingHttpClient();
  absl::StatusOr<HttpReply> Send(HttpRequest request);
  // Calls `on_line` for each line of the reply until it returns false, the end, or `idle_limit`
  // without a line.  A status of 400 or more is returned with its body.
  absl::StatusOr<HttpReply> SendForLines(HttpRequest request, std::chrono::milliseconds idle_limit,
                                         std::function<bool(std::string_view)> on_line);
  // Calls `on_bytes` for each piece of the reply's body, likewise.
  absl::StatusOr<HttpReply> SendForBytes(HttpRequest request,
                                         std::function<absl::Status(std::string_view)> on_bytes);

 private:
  std::unique_ptr<asio::io_context> loop_;
  std::unique_ptr<HttpClient> client_;
};

}  // namespace bramble
