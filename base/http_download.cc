// SPDX-License-Identifier: Apache-2.0
#include <charconv>

#include "base/http_client.h"
#include "base/run_on_loop.h"
#include "base/status.h"

namespace bramble {
namespace {

constexpr size_t kMaxErrorBodyBytes = 64 * 1024;

// The N of "bytes FIRST-LAST/N", when it begins at `first`.
absl::StatusOr<uint64_t> TotalOf(std::string_view content_range, uint64_t first) {
  const std::string prefix = StrCat("bytes ", first, "-");
  const size_t slash = content_range.find('/');
  uint64_t total = 0;
  if (content_range.starts_with(prefix) && slash != std::string_view::npos) {
    const char* end = content_range.data() + content_range.size();
    if (std::from_chars(content_range.data() + slash + 1, end, total).ptr == end) {
      return total;
    }
  }
  return absl::UnavailableError(StrCat("another range than asked for: \"", content_range, "\""));
}

absl::Status RefusalOf(int status, std::string_view target, std::string_view body) {
  const std::string text =
      StrCat(target, ": ", status, " ", HttpReason(status), " ", body.substr(0, 300));
  switch (status) {
    case 404:
    case 410:
      return absl::NotFoundError(text);
    case 401:
    case 403:
      return absl::PermissionDeniedError(text);
    case 416:
      return absl::OutOfRangeError(text);
    default:
      return status >= 500 || status == 429 ? absl::UnavailableError(text)
                                            : absl::FailedPreconditionError(text);
  }
}

}  // namespace

asio::awaitable<absl::StatusOr<uint64_t>> Download(
    HttpClient& client, DownloadOptions options,
    std::function<asio::awaitable<absl::Status>(std::string)> sink) {
  HttpRequest request;
  request.target = options.target;
  request.headers = options.headers;
  if (options.resume_from > 0) {
    request.headers.Set("Range", StrCat("bytes=", options.resume_from, "-"));
  }
  auto reply = co_await client.Open(std::move(request));
  if (!reply.ok()) {
    co_return reply.status();
  }
  if (reply->status != 200 && reply->status != 206) {
    auto body = co_await client.Read();
    client.Close();
    co_return RefusalOf(reply->status, options.target, body.ok() ? *body : "");
  }
  uint64_t position = 0;  // in the file, of the next byte that comes
  if (reply->status == 206) {
    const auto total = TotalOf(reply->headers.Get("Content-Range"), options.resume_from);
    if (!total.ok()) {
      client.Close();
      co_return Annotate(total.status(), options.target);
    }
    position = options.resume_from;
  }
  const uint64_t limit = options.expected_size.value_or(options.max_bytes);
  for (;;) {
    auto piece = co_await client.Read();
    if (!piece.ok()) {
      co_return Annotate(piece.status(), options.target);
    }
    if (piece->empty()) {
      break;
    }
    const uint64_t end = position + piece->size();
    if (limit > 0 && end > limit) {
      client.Close();
      co_return absl::ResourceExhaustedError(
          StrCat(options.target, ": longer than ", limit, " bytes"));
    }
    if (end > options.resume_from) {
      if (position < options.resume_from) {
        piece->erase(0, options.resume_from - position);
      }
      auto taking = sink(*std::move(piece));
      absl::Status taken = co_await std::move(taking);
      if (!taken.ok()) {
        client.Close();
        co_return taken;
      }
    }
    position = end;
  }
  if (options.expected_size.has_value() && position != *options.expected_size) {
    co_return absl::UnavailableError(
        StrCat(options.target, ": ", position, " bytes instead of ", *options.expected_size));
  }
  co_return position;
}

BlockingHttpClient::BlockingHttpClient(HttpClientOptions options)
    : loop_(std::make_unique<asio::io_context>(1)),
      client_(std::make_unique<HttpClient>(std::move(options))) {}

BlockingHttpClient::~BlockingHttpClient() { client_.reset(); }

absl::StatusOr<HttpReply> BlockingHttpClient::Send(HttpRequest request) {
  return RunOnLoop(*loop_, client_->Send(std::move(request)));
}

namespace {

// The body of an answer that is an error, for its text.
asio::awaitable<absl::StatusOr<HttpReply>> WithErrorBody(HttpClient& client, HttpReply reply) {
  while (reply.body.size() < kMaxErrorBodyBytes) {
    auto piece = co_await client.Read();
    if (!piece.ok()) {
      co_return piece.status();
    }
    if (piece->empty()) {
      co_return reply;
    }
    reply.body += *piece;
  }
  client.Close();
  co_return reply;
}

asio::awaitable<absl::StatusOr<HttpReply>> ReadLines(
    HttpClient& client, HttpRequest request, std::chrono::milliseconds idle_limit,
    std::function<bool(std::string_view)> on_line) {
  auto reply = co_await client.Open(std::move(request));
  if (!reply.ok()) {
    co_return reply.status();
  }
  if (reply->status >= 400) {
    co_return co_await WithErrorBody(client, *std::move(reply));
  }
  for (;;) {
    auto line = co_await client.ReadLine(idle_limit);
    if (!line.ok()) {
      co_return line.status();
    }
    if (!line->has_value()) {
      co_return reply;
    }
    if (!on_line(**line)) {
      client.Close();
      co_return reply;
    }
  }
}

asio::awaitable<absl::StatusOr<HttpReply>> ReadPieces(
    HttpClient& client, HttpRequest request,
    std::function<absl::Status(std::string_view)> on_bytes) {
  auto reply = co_await client.Open(std::move(request));
  if (!reply.ok()) {
    co_return reply.status();
  }
  if (reply->status >= 400) {
    co_return co_await WithErrorBody(client, *std::move(reply));
  }
  for (;;) {
    auto piece = co_await client.Read();
    if (!piece.ok()) {
      co_return piece.status();
    }
    if (piece->empty()) {
      co_return reply;
    }
    absl::Status taken = on_bytes(*piece);
    if (!taken.ok()) {
      client.Close();
      co_return taken;
    }
  }
}

}  // namespace

absl::StatusOr<HttpReply> BlockingHttpClient::SendForLines(
    HttpRequest request, std::chrono::milliseconds idle_limit,
    std::function<bool(std::string_view)> on_line) {
  return RunOnLoop(*loop_, ReadLines(*client_, std::move(request), idle_limit, std::move(on_line)));
}

absl::StatusOr<HttpReply> BlockingHttpClient::SendForBytes(
    HttpRequest request, std::function<absl::Status(std::string_view)> on_bytes) {
  return RunOnLoop(*loop_, ReadPieces(*client_, std::move(request), std::move(on_bytes)));
}

}  // namespace bramble
