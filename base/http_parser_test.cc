// SPDX-License-Identifier: Apache-2.0
#include "base/http_parser.h"

#include <gtest/gtest.h>

namespace bramble {
namespace {

constexpr size_t kMaxHeaderBytes = 1000;

// What is not taken is offered again with the next byte, as a connection does.
absl::StatusOr<std::string> BodyByteByByte(std::string_view message) {
  RequestHead head;
  HttpRequestParser parser(head, kMaxHeaderBytes);
  std::string waiting;
  std::string body;
  for (const char byte : message) {
    waiting += byte;
    const absl::StatusOr<size_t> taken = parser.Push(waiting);
    if (!taken.ok()) {
      return taken.status();
    }
    waiting.erase(0, *taken);
    body += parser.TakeBody();
  }
  return parser.done() ? body : "not done";
}

// Found by tests/fuzz/http_fuzz.cc: an assertion of the parser ended the program.
TEST(HttpParserTest, AChunkedBodyMayComeByteByByte) {
  const std::string head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(BodyByteByByte(head + "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").value(), "abcde");
  EXPECT_EQ(BodyByteByByte(head + "0\r\n\r\n").value(), "");
  EXPECT_EQ(BodyByteByByte(head + "1\r\na\r\n0\r\nA: b\r\n\r\n").value(), "a");
  EXPECT_FALSE(BodyByteByByte(head + "0\r\n{\r\n\r\n\r\n").ok());
}

}  // namespace
}  // namespace bramble
