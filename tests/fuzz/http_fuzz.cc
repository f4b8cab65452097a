// SPDX-License-Identifier: Apache-2.0
// Requests and replies of HTTP/1.1: however the bytes are cut into pieces, the same is read.
#include <algorithm>

// lint: allow(deps) base_net as a whole is not for clang 14
#include "base/http_message.h"
// lint: allow(deps) base_net as a whole is not for clang 14
#include "base/http_parser.h"
#include "tests/fuzz/fuzz.h"

namespace bramble::fuzz {
namespace {

constexpr size_t kMaxHeaderBytes = 2048;
constexpr uint64_t kMaxBodyBytes = 4096;

struct Outcome {
  bool good = false;
  bool done = false;
  std::string target;
  std::string body;

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome ReadRequest(std::string_view input, size_t piece) {
  RequestHead head;
  HttpRequestParser parser(head, kMaxHeaderBytes);
  Outcome outcome;
  bool limited = false;
  std::string waiting;
  while (true) {
    const size_t more = std::min(piece, input.size());
    waiting += input.substr(0, more);
    input.remove_prefix(more);
    while (!waiting.empty() && !parser.done()) {
      const absl::StatusOr<size_t> taken = parser.Push(waiting);
      if (!taken.ok()) {
        return {};
      }
      BRAMBLE_CHECK(*taken <= waiting.size(), "no more is taken than there is");
      waiting.erase(0, *taken);
      if (parser.header_done() && !limited) {
        limited = true;
        parser.SetMaxBody(kMaxBodyBytes);
      }
      outcome.body += parser.TakeBody();
      if (*taken == 0) {
        break;  // more is needed
      }
    }
    if (input.empty() || parser.done()) {
      break;
    }
  }
  BRAMBLE_CHECK(outcome.body.size() <= kMaxBodyBytes, "the limit of the body holds");
  outcome.good = true;
  outcome.done = parser.done();
  outcome.target = parser.header_done() ? head.target : "";
  if (parser.header_done()) {
    (void)ParseByteRange(head.headers.Get("Range"), 1000);
  }
  return outcome;
}

void ReadReply(std::string_view input) {
  HttpReply reply;
  HttpReplyParser parser(reply, kMaxHeaderBytes);
  std::string bytes(input);
  if (parser.Push(bytes).ok() && !parser.done()) {
    (void)parser.FinishAtEof();
  }
}

}  // namespace

void Try(std::string_view input) {
  const size_t piece = 1 + TakeByte(input) % 64;
  const Outcome whole = ReadRequest(input, input.size());
  const Outcome pieces = ReadRequest(input, piece);
  BRAMBLE_CHECK(!(whole.good && pieces.good) || whole == pieces,
                "how the bytes come does not change what they say");
  ReadReply(input);
}

std::vector<std::string> Seeds() {
  return {
      "\x01GET /v1/containers?filter=state%3Drunning HTTP/1.1\r\nHost: a\r\n\r\n",
      "\x07POST /v1/containers HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
      "\x03POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      "2\r\n{}\r\n3;x=y\r\nabc\r\n0\r\n\r\n",
      "\x10GET /v1/blobs/a HTTP/1.1\r\nHost: a\r\nRange: bytes=1-5\r\nConnection: close\r\n\r\n",
      "\x05GET /v1/node HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
      "\x02HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
      "\x02HTTP/1.0 404 Not Found\r\n\r\nuntil the end"};
}

}  // namespace bramble::fuzz
