// SPDX-License-Identifier: Apache-2.0
// exec, console, logs, push and pull: from the person through the controller to the node and back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/run_on_loop.h"
#include "base/status.h"
#include "tests/integration/simulated_node.h"

namespace bramble::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class StreamsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    controller_.Start();
    admin_.emplace(controller_, controller_.Token());
    node_.emplace(controller_);
    ASSERT_TRUE(node_->Join(admin_->Post("/v1/tokens").Text("join_token")).ok());
    node_->Connect();
    admin_->Await("/v1/nodes/pi-1", "state", "ready");
    admin_->Send("POST", "/v1/images?name=busybox&architecture=amd64", "not really a tar");
    admin_->Post("/v1/containers", {{"name", "web"}, {"image", "busybox"}});
    admin_->Await("/v1/containers/web", "status.state", "running");
  }

  asio::awaitable<absl::StatusOr<std::unique_ptr<WebSocket>>> Dial(std::string path) {
    WebSocket::Dial dial;
    dial.target = {.host = "127.0.0.1", .port = controller_.people_port()};
    dial.tls = TlsClientContext::Make({.check = IssuedByCa{controller_.Ca()}}).value();
    dial.path = path;
    co_return co_await WebSocket::Connect(std::move(dial));
  }

  struct ExecResult {
    std::string output;
    std::string control;
  };
  asio::awaitable<absl::StatusOr<ExecResult>> Exec(std::string url, std::string input) {
    BRAMBLE_CO_ASSIGN_OR_RETURN(const auto socket, co_await Dial(std::move(url)));
    WebSocketMessage in{.binary = true, .bytes = std::string(1, '\0') + input};
    BRAMBLE_CO_RETURN_IF_ERROR(co_await socket->Send(std::move(in)));
    WebSocketMessage eof{.binary = true, .bytes = "\x03{\"eof\":true}"};
    BRAMBLE_CO_RETURN_IF_ERROR(co_await socket->Send(std::move(eof)));
    ExecResult result;
    while (true) {
      BRAMBLE_CO_ASSIGN_OR_RETURN(auto message, co_await socket->Receive());
      if (!message.has_value()) {
        co_return result;
      }
      (message->bytes[0] == 3 ? result.control : result.output) += message->bytes.substr(1);
    }
  }

  ControllerProcess controller_;
  std::optional<Person> admin_;
  std::optional<SimulatedNode> node_;
  asio::io_context loop_;
};

TEST_F(StreamsTest, ExecCarriesInputOutputAndTheExitCode) {
  const Answer ticket =
      admin_->Post("/v1/containers/web/exec", {{"command", {"sh", "7"}}, {"interactive", true}});
  ASSERT_EQ(ticket.status, 201) << ticket.text;

  const auto result = RunOnLoop(loop_, Exec(ticket.Text("url"), "hello"));

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output, "hello");
  EXPECT_EQ(result->control, R"({"exit":{"code":7}})");
}

TEST_F(StreamsTest, ATicketIsGoodOnce) {
  const Answer ticket = admin_->Post("/v1/containers/web/exec", {{"command", {"sh", "0"}}});
  ASSERT_TRUE(RunOnLoop(loop_, Exec(ticket.Text("url"), "")).ok());

  const auto again = RunOnLoop(loop_, Exec(ticket.Text("url"), ""));

  EXPECT_FALSE(again.ok());
  EXPECT_THAT(std::string(again.status().message()), HasSubstr("404"));
}

TEST_F(StreamsTest, AStoppedNodesContainerCannotBeEntered) {
  node_->Disconnect();
  Answer ticket;
  EXPECT_TRUE(Eventually([&] {
    ticket = admin_->Post("/v1/containers/web/exec", {{"command", {"sh"}}});
    return ticket.status == 409 || ticket.status == 503;
  })) << ticket.text;
  EXPECT_THAT(ticket.Text("detail"), HasSubstr("pi-1"));
}

TEST_F(StreamsTest, APulledFileIsWholeAndAMissingOneIsNotFound) {
  const Answer file = admin_->Get("/v1/containers/web/files?path=/etc/hostname");
  EXPECT_EQ(file.status, 200);
  EXPECT_EQ(file.text.size(), 2'400'000u);

  const Answer missing = admin_->Get("/v1/containers/web/files?path=/missing");
  EXPECT_EQ(missing.status, 404);
  EXPECT_THAT(missing.Text("detail"), HasSubstr("/missing"));
}

TEST_F(StreamsTest, APushedFileArrivesAndARefusalIsHandedOn) {
  const std::string bytes(3'000'000, 'b');
  const Answer pushed =
      admin_->Send("PUT", "/v1/containers/web/files?path=/tmp/x&mode=0600", bytes);
  EXPECT_EQ(pushed.status, 204) << pushed.text;

  const Answer full = admin_->Send("PUT", "/v1/containers/web/files?path=/full", bytes);
  EXPECT_EQ(full.status, 429) << full.text;
  EXPECT_THAT(full.Text("detail"), HasSubstr("3000000 bytes"));
}

TEST_F(StreamsTest, ABodyInChunksIsSentOnWithoutAnAnnouncedSize) {
  const TemporaryDirectory directory;
  const std::string ca = directory.path() / "ca.pem";
  std::ofstream(ca) << controller_.Ca().Pem();
  // As a person does it: the length of a pipe is not known before its end.
  const auto curl = [&](const std::string& path) {
    const std::string answer = directory.path() / "answer";
    const std::string line =
        StrCat("head -c 300000 /dev/zero | curl -sS --max-time 30 --cacert ", ca,
               " -H 'Authorization: Bearer ", controller_.Token(), "' -o ", answer,
               " -w '%{http_code}' -T - 'https://127.0.0.1:", controller_.people_port(),
               "/v1/containers/web/files?path=", path, "' >", answer, ".code");
    EXPECT_EQ(std::system(line.c_str()), 0);
    std::ifstream body(answer), code(answer + ".code");
    std::ostringstream text;
    text << code.rdbuf() << " " << body.rdbuf();
    return text.str();
  };
  EXPECT_THAT(curl("/tmp/x"), StartsWith("204"));
  EXPECT_THAT(curl("/size"), HasSubstr("announced -1")) << "not 0";
  EXPECT_THAT(curl("/full"), HasSubstr("no space after 300000 bytes"));
}

TEST_F(StreamsTest, ADirectoryGoesAsAnArchive) {
  const std::string archive(20'000, 'a');
  EXPECT_EQ(admin_->Send("PUT", "/v1/containers/web/files?path=/srv/&format=tar", archive).status,
            204);
  const Answer mode =
      admin_->Send("PUT", "/v1/containers/web/files?path=/srv&format=tar&mode=0644", archive);
  EXPECT_EQ(mode.status, 400);
  EXPECT_THAT(mode.Text("detail"), HasSubstr("mode"));
  EXPECT_EQ(admin_->Send("PUT", "/v1/containers/web/files?path=/srv/", archive).status, 400)
      << "a file has a name";
  const Answer pulled = admin_->Get("/v1/containers/web/files?path=/srv&format=tar");
  EXPECT_EQ(pulled.status, 200);
  EXPECT_EQ(pulled.headers.Get("Content-Type"), "application/x-tar");
  EXPECT_EQ(admin_->Get("/v1/containers/web/files?path=/srv&format=zip").status, 400);
}

TEST_F(StreamsTest, ARefusalBeforeTheFileHasArrivedIsHandedOn) {
  const std::string bytes(3'000'000, 'b');
  const Answer refused = admin_->Send("PUT", "/v1/containers/web/files?path=/refused", bytes);
  EXPECT_EQ(refused.status, 409) << refused.text;
  EXPECT_THAT(refused.Text("detail"), HasSubstr("is a directory"));
}

TEST_F(StreamsTest, LogsComeAsText) {
  const Answer logs = admin_->Get("/v1/containers/web/logs?tail=100");
  EXPECT_EQ(logs.status, 200);
  EXPECT_THAT(std::string(logs.headers.Get("Content-Type")), HasSubstr("text/plain"));
  EXPECT_EQ(logs.text.size(), 2'400'000u);
}

TEST_F(StreamsTest, BadRequestsAreNamed) {
  const std::pair<json::value, const char*> bad[] = {
      {json::object(), "command"},
      {{{"command", json::array()}}, "command"},
      {{{"command", {"sh"}}, {"rows", -1}}, "rows"},
      {{{"command", {"sh"}}, {"comand", 1}}, "comand"},
  };
  for (const auto& [body, names] : bad) {
    const Answer answer = admin_->Post("/v1/containers/web/exec", body);
    EXPECT_EQ(answer.status, 400) << answer.text;
    EXPECT_THAT(answer.Text("detail"), HasSubstr(names));
  }
}

}  // namespace
}  // namespace bramble::testing
