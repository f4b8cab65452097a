// SPDX-License-Identifier: Apache-2.0
#include "base/http_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <vector>

#include "base/status.h"
#include "base/timer.h"
#include "base/tls_testing.h"

namespace bramble {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

Response Text(std::string text) { return {.content_type = "text/plain", .body = std::move(text)}; }

asio::awaitable<Response> Echo(Request& request) {
  co_return Text(StrCat(request.method, " ", request.body));
}

asio::awaitable<Response> CountUpload(Request& request) {
  size_t total = 0;
  for (;;) {
    auto piece = co_await request.body_stream->Read();
    if (!piece.ok()) {
      co_return Text(std::string(MessageOf(piece.status())));
    }
    if (piece->empty()) {
      co_return Text(StrCat(total, " bytes"));
    }
    total += piece->size();
  }
}

asio::awaitable<absl::Status> WriteEvents(ResponseWriter& writer) {
  for (int i = 0; i < 3; ++i) {
    absl::Status written = co_await writer.Write(StrCat("data: ", i, "\n\n"));
    if (!written.ok()) {
      co_return written;
    }
  }
  co_return absl::OkStatus();
}

class HttpServerTest : public ::testing::Test {
 protected:
  void Start(HttpServerOptions options = {}) {
    Router router;
    router.Add("GET", "/hello", {.direct = [](Request&) { return Text("hello"); }});
    router.Add("GET", "/nodes/{name}", {.direct = [](Request& request) {
                 return Text(StrCat("node ", request.Param("name"),
                                    " q=", request.Query("q").value_or("none")));
               }});
    router.Add("POST", "/echo", {.handler = Echo, .max_body_bytes = 1000});
    router.Add("POST", "/open", {.handler = Echo, .max_body_bytes = 1000, .open = true});
    router.Add("PUT", "/upload",
               {.handler = CountUpload, .body = BodyMode::kStream, .max_body_bytes = 3 << 20});
    router.Add("GET", "/throw",
               {.direct = [](Request&) { return Text(std::vector<std::string>().at(1)); }});
    router.Add("GET", "/shared",
               {.direct = [this](Request&) { return Response{.body = shared_}; }});
    router.Add("GET", "/events", {.direct = [](Request&) {
                 return Response{.content_type = "text/event-stream",
                                 .body = StreamBody(WriteEvents)};
               }});
    auto file = [this](Request&) {
      Response response{.content_type = "application/octet-stream"};
      response.headers.Add("ETag", "\"v1\"");
      response.body = FileBody{file_, 10};
      return response;
    };
    router.Add("GET", "/file", {.direct = file});
    server_ = std::make_unique<LoopbackServer>(loop_, ca_, std::move(router), std::move(options),
                                               Logger(log_));
    client_ = std::make_unique<HttpClient>(server_->ClientOptions(ca_));
  }

  HttpReply Send(HttpRequest request) {
    auto reply = RunOnLoop(loop_, client_->Send(std::move(request)));
    EXPECT_TRUE(reply.ok()) << reply.status();
    return reply.value_or(HttpReply{});
  }
  HttpReply Get(std::string target) { return Send({.target = std::move(target)}); }

  // A connection that never speaks TLS.
  Fd HalfOpen() {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server_->address().port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address));
    return fd;
  }

  // Sends `bytes` as they are and gives all that comes back until the server closes.
  std::string Raw(std::string bytes) {
    auto talk = [](TestCa& ca, HostPort address,
                   std::string out) -> asio::awaitable<absl::StatusOr<std::string>> {
      auto stream = co_await TlsStream::Connect(ca.Pinned(), address, 5s);
      if (!stream.ok()) {
        co_return stream.status();
      }
      absl::Status sent = co_await (*stream)->Write(out);
      std::string in;
      char piece[4096];
      for (;;) {
        auto got = co_await (*stream)->Read(piece, sizeof(piece));
        if (!got.ok() || *got == 0) {
          co_return in;
        }
        in.append(piece, *got);
      }
    };
    return RunOnLoop(loop_, talk(ca_, server_->address(), std::move(bytes))).value_or("failed");
  }

  asio::io_context loop_;
  TestCa ca_;
  MemoryLogSink log_;
  std::shared_ptr<const std::string> shared_ =
      std::make_shared<const std::string>(std::string(600'000, 'x') + "end");
  std::shared_ptr<Fd> file_;
  std::unique_ptr<LoopbackServer> server_;
  std::unique_ptr<HttpClient> client_;
};

TEST_F(HttpServerTest, AnswersOverOneConnectionAgainAndAgain) {
  Start();

  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(Get("/hello").body, "hello");
  }

  EXPECT_EQ(server_->server().connections(), 1u);
}

TEST_F(HttpServerTest, RoutesByPathAndDecodesParameters) {
  Start();

  EXPECT_EQ(Get("/nodes/pi4?q=a%20b+c&q=2").body, "node pi4 q=a b c");
  EXPECT_EQ(Get("/nodes/a%2Fb").body, "node a/b q=none");
  EXPECT_EQ(Get("/nodes/").status, 404);
  EXPECT_EQ(Get("/nodes/a%0ab").status, 404) << "no name has a newline";
  EXPECT_EQ(Get("/nodes/x/y").status, 404);
  EXPECT_EQ(Get("/nothing").status, 404);
}

TEST_F(HttpServerTest, WrongMethodSaysWhichAreAllowed) {
  Start();

  const HttpReply reply = Send({.method = "DELETE", .target = "/hello"});

  EXPECT_EQ(reply.status, 405);
  EXPECT_EQ(reply.headers.Get("allow"), "GET");
  EXPECT_EQ(reply.headers.Get("content-type"), "application/problem+json");
  EXPECT_THAT(reply.body, HasSubstr(R"("code":"method_not_allowed")"));
}

TEST_F(HttpServerTest, HeadHasTheLengthAndNoBody) {
  Start();

  const HttpReply reply = Send({.method = "HEAD", .target = "/hello"});

  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.headers.Get("Content-Length"), "5");
  EXPECT_EQ(reply.body, "");
  EXPECT_EQ(Get("/hello").body, "hello") << "the connection goes on";
}

TEST_F(HttpServerTest, SharedBodyArrivesWhole) {
  Start();

  EXPECT_EQ(Get("/shared").body, *shared_);
}

TEST_F(HttpServerTest, BodyOverTheRoutesLimitIsRefusedAndSeen) {
  Start();

  const HttpReply reply =
      Send({.method = "POST", .target = "/echo", .body = std::string(500'000, 'x')});

  EXPECT_EQ(reply.status, 413);
  EXPECT_THAT(reply.body, HasSubstr("1000"));
  EXPECT_EQ(Send({.method = "POST", .target = "/echo", .body = "ok"}).body, "POST ok");
}

TEST_F(HttpServerTest, ChunkedBodyOverTheLimitIsRefused) {
  Start();
  std::string chunked = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 20; ++i) {
    chunked += "64\r\n" + std::string(100, 'x') + "\r\n";
  }

  EXPECT_THAT(Raw(chunked + "0\r\n\r\n"), StartsWith("HTTP/1.1 413 "));
}

TEST_F(HttpServerTest, TakesAChunkedBody) {
  Start();

  EXPECT_THAT(Raw("POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
              HasSubstr("POST abcde"));
}

TEST_F(HttpServerTest, MalformedRequestsAreRefusedAndClosed) {
  Start();
  const std::string chunked =
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string bad[] = {
      "hello\r\n\r\n",
      "GET /hello HTTP/1.1\r\n\r\n",  // no Host
      "GET hello HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET /hello HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
      "GET /hello HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nab",
      "GET /hello?%zz=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
      chunked + "zz\r\nabc\r\n",
      chunked + "3\r\nabcdef\r\n0\r\n\r\n",
      chunked + "3;" + std::string(100'000, 'x'),
  };
  for (const std::string& request : bad) {
    EXPECT_THAT(Raw(request), AllOf(StartsWith("HTTP/1.1 400 "), HasSubstr("Connection: close")))
        << request.substr(0, 200);
  }
  EXPECT_EQ(Get("/hello").body, "hello");
}

TEST_F(HttpServerTest, HeadersOverTheLimitAreRefused) {
  Start({.limits = {.header_bytes = 2000}});

  EXPECT_THAT(Raw("GET /hello HTTP/1.1\r\nHost: x\r\nA: " + std::string(5000, 'x') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(Raw("GET /" + std::string(50'000, 'x')), StartsWith("HTTP/1.1 431 "));
}

TEST_F(HttpServerTest, PipelinedRequestsAreAnsweredInOrder) {
  Start();

  const std::string answers =
      Raw("GET /nodes/a HTTP/1.1\r\nHost: x\r\n\r\nGET /nodes/b HTTP/1.1\r\nHost: x\r\n\r\n"
          "GET /nodes/c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

  EXPECT_LT(answers.find("node a"), answers.find("node b"));
  EXPECT_LT(answers.find("node b"), answers.find("node c"));
  EXPECT_NE(answers.find("node c"), std::string::npos);
}

TEST_F(HttpServerTest, StreamingRouteTakesABodyPieceByPiece) {
  Start();

  EXPECT_EQ(Send({.method = "PUT", .target = "/upload", .body = std::string(3 << 20, 'x')}).body,
            "3145728 bytes");
  EXPECT_EQ(
      Send({.method = "PUT", .target = "/upload", .body = std::string((3 << 20) + 1, 'x')}).status,
      413);
}

TEST_F(HttpServerTest, SaysContinueToThoseWhoWait) {
  Start();

  EXPECT_THAT(Raw("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n"
                  "Content-Length: 2000\r\n\r\n"),
              StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(Raw("PUT /upload HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n"
                  "Content-Length: 2\r\n\r\nab"),
              HasSubstr("2 bytes"));
}

TEST_F(HttpServerTest, StreamsEventsLineByLine) {
  Start();
  auto read = [](HttpClient& client) -> asio::awaitable<std::vector<std::string>> {
    std::vector<std::string> lines;
    HttpRequest request{.target = "/events"};
    auto opened = co_await client.Open(std::move(request));
    EXPECT_TRUE(opened.ok());
    for (;;) {
      auto line = co_await client.ReadLine(5s);
      if (!line.ok() || !line->has_value()) {
        co_return lines;
      }
      lines.push_back(**line);
    }
  };

  EXPECT_THAT(RunOnLoop(loop_, read(*client_)),
              ::testing::ElementsAre("data: 0", "", "data: 1", "", "data: 2", ""));
  EXPECT_EQ(Get("/hello").body, "hello") << "the connection goes on";
}

TEST_F(HttpServerTest, ServesAFileAndRangesOfIt) {
  FILE* temporary = std::tmpfile();
  std::fputs("0123456789", temporary);
  std::fflush(temporary);
  file_ = std::make_shared<Fd>(::dup(fileno(temporary)));
  std::fclose(temporary);
  Start();
  const auto range = [this](std::string value, std::string if_range = "") {
    HttpRequest request{.target = "/file", .headers = {{"Range", std::move(value)}}};
    if (!if_range.empty()) {
      request.headers.Add("If-Range", if_range);
    }
    const HttpReply reply = Send(std::move(request));
    return StrCat(reply.status, " ", reply.headers.Get("Content-Range"), " ", reply.body);
  };

  EXPECT_EQ(Get("/file").body, "0123456789");
  EXPECT_EQ(range("bytes=3-5"), "206 bytes 3-5/10 345");
  EXPECT_EQ(range("bytes=7-"), "206 bytes 7-9/10 789");
  EXPECT_EQ(range("bytes=-2"), "206 bytes 8-9/10 89");
  EXPECT_EQ(range("bytes=5-100"), "206 bytes 5-9/10 56789");
  EXPECT_EQ(range("bytes=1-2,4-5"), "200  0123456789");
  EXPECT_EQ(range("bytes=3-5", "\"v1\""), "206 bytes 3-5/10 345");
  EXPECT_EQ(range("bytes=3-5", "\"v0\""), "200  0123456789");
  EXPECT_THAT(range("bytes=10-"), StartsWith("416 bytes */10"));
}

TEST_F(HttpServerTest, DownloadResumesWhereItWasCutOff) {
  FILE* temporary = std::tmpfile();
  std::fputs("0123456789", temporary);
  std::fflush(temporary);
  file_ = std::make_shared<Fd>(::dup(fileno(temporary)));
  std::fclose(temporary);
  Start();
  std::string got = "0123";
  auto sink = [&got](std::string bytes) -> asio::awaitable<absl::Status> {
    got += bytes;
    co_return absl::OkStatus();
  };

  auto size = RunOnLoop(loop_, Download(*client_, {.target = "/file", .resume_from = 4}, sink));

  EXPECT_EQ(size.value(), 10u);
  EXPECT_EQ(got, "0123456789");
  auto too_long = RunOnLoop(loop_, Download(*client_, {.target = "/file", .max_bytes = 5}, sink));
  EXPECT_TRUE(absl::IsResourceExhausted(too_long.status())) << too_long.status();
}

TEST_F(HttpServerTest, HandlerThatThrowsIsA500AndIsLogged) {
  Start();

  const HttpReply reply = Get("/throw");

  EXPECT_EQ(reply.status, 500);
  EXPECT_THAT(reply.body, Not(HasSubstr("vector")));
  EXPECT_TRUE(log_.Contains("handler_threw path=/throw error=\"vector"));
}

TEST_F(HttpServerTest, GateRefusesBeforeTheBodyIsRead) {
  HttpServerOptions options;
  options.before_body = [](Request& request) -> std::optional<Response> {
    if (request.headers.Has("Authorization")) {
      return std::nullopt;
    }
    return Response{.status = 401, .body = std::string("{}")};
  };
  Start(std::move(options));

  EXPECT_EQ(Send({.method = "PUT", .target = "/upload", .body = std::string(1 << 20, 'x')}).status,
            401);
  EXPECT_EQ(Send({.target = "/hello", .headers = {{"Authorization", "x"}}}).body, "hello");
}

TEST_F(HttpServerTest, AlwaysAddsWhatItIsToldAndNoHeaderCanBeSplit) {
  HttpServerOptions options;
  options.always = {{"X-Content-Type-Options", "nosniff"}};
  Start(std::move(options));

  EXPECT_EQ(Get("/hello").headers.Get("x-content-type-options"), "nosniff");
}

// A client that does nothing is closed by the time limit; nobody sleeps for it here.
TEST_F(HttpServerTest, SilentAndSlowClientsAreClosed) {
  Start({.limits = {
             .handshake = 30ms, .header = 30ms, .body_stall = 30ms, .idle = 30ms, .sweep = 10ms}});

  EXPECT_EQ(Raw(""), "") << "no request";
  EXPECT_EQ(Raw("GET /hello HT"), "") << "no end of the headers";
  EXPECT_THAT(Raw("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"),
              Not(HasSubstr("200")))
      << "no end of the body";
  EXPECT_EQ(server_->server().connections(), 0u);
}

// One byte at a time does not extend the time for the headers.
TEST_F(HttpServerTest, SlowLorisIsClosed) {
  Start({.limits = {.header = 40ms, .idle = 60s, .sweep = 5ms}});
  auto drip = [](TestCa& ca, HostPort address) -> asio::awaitable<absl::StatusOr<bool>> {
    auto stream = co_await TlsStream::Connect(ca.Pinned(), address, 5s);
    for (int i = 0; i < 10'000; ++i) {
      absl::Status sent = co_await (*stream)->Write("G");
      char byte;
      auto got = (*stream)->TryRead(&byte, 1);
      if (!sent.ok() || !got.ok() || got->has_value()) {
        co_return true;
      }
      co_await SleepFor(1ms);
    }
    co_return false;
  };

  EXPECT_TRUE(RunOnLoop(loop_, drip(ca_, server_->address())).value());
}

// Sends a byte of a body now and then.  True: the server ended it.
asio::awaitable<absl::StatusOr<bool>> DripBody(TestCa& ca, HostPort address, std::string head) {
  auto stream = co_await TlsStream::Connect(ca.Pinned(), address, 5s);
  if (!stream.ok()) {
    co_return stream.status();
  }
  absl::Status sent = co_await (*stream)->Write(head);
  for (int i = 0; i < 900 && sent.ok(); ++i) {
    char byte;
    auto got = (*stream)->TryRead(&byte, 1);
    if (!got.ok() || got->has_value()) {
      co_return true;
    }
    co_await SleepFor(2ms);
    sent = co_await (*stream)->Write("b");
  }
  co_return !sent.ok();
}

TEST_F(HttpServerTest, ABodyThatDripsIsGivenAnEnd) {
  Start({.limits = {.body_stall = 60s, .body = 60ms, .body_rate = 1 << 20, .sweep = 5ms}});
  for (const char* framing : {"Content-Length: 1000", "Transfer-Encoding: chunked"}) {
    const bool chunked = std::string_view(framing).starts_with("T");
    const std::string head =
        StrCat("POST /echo HTTP/1.1\r\nHost: x\r\n", framing, "\r\n\r\n", chunked ? "3e8\r\n" : "");
    EXPECT_TRUE(RunOnLoop(loop_, DripBody(ca_, server_->address(), head)).value()) << framing;
  }
}

TEST_F(HttpServerTest, AnOpenRoutesSlowBodyMakesRoom) {
  Start({.limits = {.connections = 1, .body_stall = 60s, .body = 60s, .sweep = 5ms}});
  auto both = [](TestCa& ca, HostPort address,
                 std::string path) -> asio::awaitable<absl::StatusOr<bool>> {
    const std::string head =
        StrCat("POST ", path, " HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n");
    auto slow = co_await TlsStream::Connect(ca.Pinned(), address, 5s);
    if (!slow.ok()) {
      co_return slow.status();
    }
    absl::Status sent = co_await (*slow)->Write(head);
    if (!sent.ok()) {
      co_return sent;
    }
    auto next = co_await TlsStream::Connect(ca.Pinned(), address, 3s);
    co_return next.ok();
  };

  EXPECT_TRUE(RunOnLoop(loop_, both(ca_, server_->address(), "/open")).value());
}

TEST_F(HttpServerTest, OneClientCannotTakeAllConnections) {
  Start({.limits = {.connections = 10, .connections_per_peer = 3}});
  auto dial = [](TestCa& ca,
                 HostPort address) -> asio::awaitable<std::vector<std::unique_ptr<TlsStream>>> {
    std::vector<std::unique_ptr<TlsStream>> streams;
    for (int i = 0; i < 6; ++i) {
      auto stream = co_await TlsStream::Connect(ca.Pinned(), address, 5s);
      if (stream.ok()) {
        streams.push_back(*std::move(stream));
      }
    }
    co_return streams;
  };

  const auto streams = RunOnLoop(loop_, dial(ca_, server_->address()));

  EXPECT_GE(streams.size(), 3u) << "more where dialling takes long: the longest idle makes room";
  EXPECT_LE(server_->server().connections(), 3u);
}

TEST_F(HttpServerTest, WhoSharesAnAddressWithHalfOpenConnectionsIsServed) {
  Start({.limits = {.connections = 100, .connections_per_peer = 5, .handshake = 600s}});
  std::vector<Fd> half_open;
  for (int i = 0; i < 5; ++i) {
    half_open.push_back(HalfOpen());
  }
  const auto until = std::chrono::steady_clock::now() + 20s;
  int status = 0;
  while (status != 200 && std::chrono::steady_clock::now() < until) {
    // Refused for as long as all of them are fresh.
    status = RunOnLoop(loop_, client_->Send({.target = "/hello"})).value_or(HttpReply{}).status;
  }
  EXPECT_EQ(status, 200);
}

// 1,000 connections that never speak TLS; one that does is served all the same.
TEST_F(HttpServerTest, ManyHalfOpenConnectionsHarmNobody) {
  Start({.limits = {
             .connections = 200, .connections_per_peer = 2000, .handshake = 100ms, .sweep = 10ms}});
  std::vector<Fd> half_open;
  for (int i = 0; i < 1000; ++i) {
    half_open.push_back(HalfOpen());
  }

  EXPECT_EQ(Get("/hello").body, "hello");
  EXPECT_LE(server_->server().connections(), 200u);
}

TEST_F(HttpServerTest, BusyPortIsNamed) {
  Start();
  HttpServer second(loop_, Router(), {}, {});

  auto port = second.Listen(server_->address(), ca_.ServerContext());

  EXPECT_TRUE(absl::IsUnavailable(port.status()));
  EXPECT_THAT(std::string(MessageOf(port.status())),
              AllOf(HasSubstr(StrCat("port ", server_->address().port)), HasSubstr("in use")));
}

TEST_F(HttpServerTest, StopEndsWhatIsUnderWay) {
  Start();
  ASSERT_EQ(Get("/hello").body, "hello");

  RunOnLoop(loop_, server_->server().Stop());

  EXPECT_EQ(server_->server().connections(), 0u);
  auto reply = RunOnLoop(loop_, client_->Send({.target = "/hello"}));
  EXPECT_TRUE(absl::IsUnavailable(reply.status())) << reply.status();
}

}  // namespace
}  // namespace bramble
