// SPDX-License-Identifier: Apache-2.0
// Commands, files and logs of containers, on connections of their own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/service/node_testing.h"

namespace bramble::node {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

asio::awaitable<absl::StatusOr<std::string>> NextFrame(WebSocket& socket) {
  auto message = co_await socket.Receive();
  if (!message.ok()) {
    co_return message.status();
  }
  co_return message->has_value() ? (*message)->bytes : std::string("closed");
}

class NodeStreamTest : public testing::Test {
 protected:
  void SetUp() override {
    m_.controller.blobs[kDigest] = "an archive";
    m_.Boot();
    ASSERT_TRUE(m_.Until([&] { return !m_.controller.heartbeats.empty(); }));
    m_.controller.Send(Desired(1, {Container("web")}));
    ASSERT_TRUE(m_.Until([&] { return m_.machine->containers.size() == 1; }));
  }
  void Open(api::OpenStream request) {
    request.ticket = "ticket";
    m_.controller.Send(request);
    ASSERT_TRUE(m_.Until([&] { return m_.controller.stream != nullptr; }));
  }
  void Send(char channel, std::string_view bytes) {
    ASSERT_TRUE(m_.controller.stream
                    ->TrySend({.binary = true, .bytes = StrCat(std::string(1, channel), bytes)})
                    .ok());
  }
  std::string Next() { return RunOnLoop(m_.loop, NextFrame(*m_.controller.stream)).value(); }

  Machine m_;
};

TEST_F(NodeStreamTest, ExecCarriesInputOutputAndTheExitCode) {
  Open({.kind = api::StreamKind::kExec,
        .container = Container("web").id,
        .command = {"cat"},
        .interactive = true});
  Send(0, "ab");
  EXPECT_EQ(Next(), "\1ab");
  Send(3, R"({"eof":true})");
  EXPECT_EQ(Next(), "\3{\"exit\":{\"code\":0}}");
  EXPECT_EQ(Next(), "closed");
  m_.controller.EndStream();
  m_.controller.stream.reset();

  Open({.kind = api::StreamKind::kExec,
        .container = Container("web").id,
        .command = {"sh", "-c", "exit 7"}});
  EXPECT_EQ(Next(), "\3{\"exit\":{\"code\":7}}");
}

TEST_F(NodeStreamTest, ATerminalTakesItsSize) {
  Open({.kind = api::StreamKind::kConsole, .container = Container("web").id, .tty = true});
  Send(3, R"({"resize":{"rows":40,"columns":120}})");
  ASSERT_TRUE(m_.Until([&] {
    const auto& sizes = m_.machine->containers[Container("web").id].sizes;
    return !sizes.empty() && sizes.back().rows == 40 && sizes.back().columns == 120;
  }));
}

TEST_F(NodeStreamTest, AFailureIsToldOnTheStream) {
  Open({.kind = api::StreamKind::kExec,
        .container = ContainerId::Trusted("nobody"),
        .command = {"true"}});
  EXPECT_THAT(Next(), HasSubstr("\"code\":\"not_found\""));
}

TEST_F(NodeStreamTest, FilesGoInAndOutAndTheLogComes) {
  Open({.kind = api::StreamKind::kPush,
        .container = Container("web").id,
        .path = "/etc/x",
        .size_bytes = -1});  // as of a body in chunks
  Send(0, "hel");
  Send(0, "lo");
  Send(3, R"({"eof":true})");
  EXPECT_EQ(Next(), "\3{\"exit\":{\"code\":0}}");
  EXPECT_EQ(m_.machine->containers[Container("web").id].files["/etc/x"], "hello");
  m_.controller.EndStream();
  m_.controller.stream.reset();

  Open({.kind = api::StreamKind::kPull, .container = Container("web").id, .path = "/etc/x"});
  EXPECT_EQ(Next(), "\1hello");
  EXPECT_EQ(Next(), "\3{\"exit\":{\"code\":0}}");
  m_.controller.EndStream();
  m_.controller.stream.reset();

  Open({.kind = api::StreamKind::kLogs, .container = Container("web").id});
  EXPECT_EQ(Next(),
            "\1"
            "started\n");
}

TEST_F(NodeStreamTest, AMoveThatIsCalledOffWhileItsImageIsFetchedLeavesNothing) {
  const std::string digest(64, 'b');
  m_.controller.blobs[digest] = "another archive";
  Event fetched(m_.loop);
  m_.images.HoldNextAdd(digest, fetched);
  api::NodeContainer db = Container("db");
  db.image_digest = digest;
  db.spec.desired = api::DesiredState::kStopped;
  db.layer_move = "m1";
  m_.controller.Send(Desired(2, {Container("web"), db}));
  Open({.kind = api::StreamKind::kImport, .container = db.id, .move = "m1"});
  ASSERT_TRUE(m_.Until([&] { return m_.images.Holds(digest); }));

  m_.controller.Send(Desired(3, {Container("web")}, {db.id}));
  ASSERT_TRUE(m_.Until([&] {
    const std::vector<api::Report>& all = m_.controller.reports;
    return std::any_of(all.begin(), all.end(),
                       [](const api::Report& report) { return !report.removed.empty(); });
  }));
  fetched.Set();

  EXPECT_THAT(Next(), HasSubstr("does not wait for its layer"));
  EXPECT_FALSE(m_.machine->containers.contains(db.id));
}

TEST_F(NodeStreamTest, APersonWhoGoesAwayEndsTheCommandAndNothingElse) {
  Open({.kind = api::StreamKind::kExec,
        .container = Container("web").id,
        .command = {"cat"},
        .interactive = true});
  m_.controller.stream->Abort();
  m_.Pass(milliseconds(50));
  EXPECT_TRUE(m_.controller.connected());
}

}  // namespace
}  // namespace bramble::node
