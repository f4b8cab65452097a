// SPDX-License-Identifier: Apache-2.0
#include "base/http_client.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include <boost/asio/post.hpp>

#include "base/file.h"
#include "base/status.h"
#include "base/temporary_directory.h"
#include "base/timer.h"
#include "base/tls_testing.h"

namespace bramble {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

asio::awaitable<Response> NeverAnswer(Request&) {
  co_await SleepFor(1h);
  co_return Response{};
}

asio::awaitable<Response> CountBody(Request& request) {
  size_t total = 0;
  for (;;) {
    auto piece = co_await request.body_stream->Read();
    if (!piece.ok() || piece->empty()) {
      co_return Response{.body = StrCat(total)};
    }
    total += piece->size();
  }
}

asio::awaitable<absl::Status> CutOff(ResponseWriter& writer) {
  absl::Status written = co_await writer.Write("data: 1\n");
  co_return absl::InternalError("no more");
}

asio::awaitable<absl::Status> TwoLines(ResponseWriter& writer) {
  absl::Status written = co_await writer.Write("data: 1\r\nda");
  co_return co_await writer.Write("ta: 2");
}

class HttpClientTest : public ::testing::Test {
 protected:
  void Start(HttpLimits limits = {}) {
    Router router;
    router.Add("GET", "/hello", {.direct = [this](Request&) {
                 ++served_;
                 return Response{.body = std::string("hello")};
               }});
    router.Add("POST", "/hello", {.direct = [this](Request&) {
                 ++served_;
                 return Response{.body = std::string("posted")};
               }});
    router.Add("GET", "/never", {.handler = NeverAnswer});
    router.Add("PUT", "/upload",
               {.handler = CountBody, .body = BodyMode::kStream, .max_body_bytes = 10 << 20});
    router.Add("GET", "/cut",
               {.direct = [](Request&) { return Response{.body = StreamBody(CutOff)}; }});
    router.Add("GET", "/lines",
               {.direct = [](Request&) { return Response{.body = StreamBody(TwoLines)}; }});
    HttpServerOptions options;
    options.limits = limits;
    server_ = std::make_unique<LoopbackServer>(loop_, ca_, std::move(router), std::move(options));
  }
  absl::StatusOr<HttpReply> Send(HttpClient& client, HttpRequest request) {
    return RunOnLoop(loop_, client.Send(std::move(request)));
  }

  asio::io_context loop_;
  TestCa ca_;
  int served_ = 0;
  std::unique_ptr<LoopbackServer> server_;
};

TEST_F(HttpClientTest, DialsAgainWhenTheServerHasClosed) {
  Start({.idle = 10ms, .sweep = 5ms});
  HttpClient client(server_->ClientOptions(ca_));
  ASSERT_EQ(Send(client, {.method = "POST", .target = "/hello"})->body, "posted");
  while (server_->server().connections() > 0) {
    loop_.run_one();
  }

  EXPECT_EQ(Send(client, {.method = "POST", .target = "/hello"})->body, "posted");
  EXPECT_EQ(served_, 2);
}

TEST_F(HttpClientTest, AnswerThatDoesNotComeIsGivenUp) {
  Start();
  HttpClientOptions options = server_->ClientOptions(ca_);
  options.reply_limit = 30ms;
  HttpClient client(options);

  const auto reply = Send(client, {.target = "/never"});

  EXPECT_TRUE(absl::IsDeadlineExceeded(reply.status())) << reply.status();
  EXPECT_THAT(std::string(MessageOf(reply.status())), HasSubstr("/never"));
  EXPECT_EQ(Send(client, {.target = "/hello"})->body, "hello") << "by another connection";
}

TEST_F(HttpClientTest, AnswerOverTheLimitIsRefused) {
  Start();
  HttpClientOptions options = server_->ClientOptions(ca_);
  options.max_body_bytes = 4;
  HttpClient client(options);

  EXPECT_TRUE(absl::IsResourceExhausted(Send(client, {.target = "/hello"}).status()));
}

TEST_F(HttpClientTest, BodyCutOffIsNotTakenForWhole) {
  Start();
  HttpClient client(server_->ClientOptions(ca_));

  const auto reply = Send(client, {.target = "/cut"});

  EXPECT_TRUE(absl::IsUnavailable(reply.status())) << reply.status();
}

TEST_F(HttpClientTest, UploadsAFileAndTellsHowFar) {
  Start();
  const TemporaryDirectory dir;
  ASSERT_TRUE(WriteFileAtomically(dir / "f", std::string(1'000'000, 'x')).ok());
  HttpRequest request{.method = "PUT", .target = "/upload"};
  request.file = std::make_shared<Fd>(OpenFile(dir / "f", O_RDONLY).value());
  request.file_size = 1'000'000;
  uint64_t last = 0;
  request.progress = [&last](uint64_t sent) {
    EXPECT_GT(sent, last);
    last = sent;
  };
  HttpClient client(server_->ClientOptions(ca_));

  EXPECT_EQ(Send(client, std::move(request))->body, "1000000");
  EXPECT_EQ(last, 1'000'000u);
}

TEST_F(HttpClientTest, UploadThatIsRefusedEndsEarlyWithTheAnswer) {
  Start();
  const TemporaryDirectory dir;
  ASSERT_TRUE(WriteFileAtomically(dir / "f", "").ok());
  ASSERT_EQ(::truncate((dir / "f").c_str(), 100 << 20), 0);
  HttpRequest request{.method = "PUT", .target = "/upload"};
  request.file = std::make_shared<Fd>(OpenFile(dir / "f", O_RDONLY).value());
  request.file_size = 100 << 20;
  HttpClient client(server_->ClientOptions(ca_));

  const auto reply = Send(client, std::move(request));

  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->status, 413);
}

// The client for programs that do one thing at a time: the server has a thread of its own.
TEST_F(HttpClientTest, BlockingClientReadsWholeLinesAndPieces) {
  Start();
  std::vector<std::string> lines;
  std::string pieces;
  std::string hello;
  std::thread program([&] {
    BlockingHttpClient client(server_->ClientOptions(ca_));
    hello = client.Send({.target = "/hello"})->body;
    auto on_line = [&lines](std::string_view line) {
      lines.emplace_back(line);
      return true;
    };
    EXPECT_TRUE(client.SendForLines({.target = "/lines"}, 5s, on_line).ok());
    auto on_bytes = [&pieces](std::string_view bytes) {
      pieces += bytes;
      return absl::OkStatus();
    };
    EXPECT_TRUE(client.SendForBytes({.target = "/lines"}, on_bytes).ok());
    EXPECT_EQ(client.SendForLines({.target = "/nothing"}, 5s, on_line)->status, 404);
    asio::post(loop_, [this] { loop_.stop(); });
  });
  loop_.run();
  program.join();

  EXPECT_EQ(hello, "hello");
  EXPECT_THAT(lines, ElementsAre("data: 1", "data: 2"));
  EXPECT_EQ(pieces, "data: 1\r\ndata: 2");
}

}  // namespace
}  // namespace bramble
