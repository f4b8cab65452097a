// SPDX-License-Identifier: Apache-2.0
#include "api/node_protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace bramble::api {
namespace {

NodeContainer SomeContainer() {
  return {.id = ContainerId::Trusted("c1"),
          .name = ContainerName::Trusted("web"),
          .project = ProjectName::Trusted("default"),
          .generation = 4,
          .spec = {.image = "debian:12", .limits = {.cpu = {1000}, .memory = {256 * kMiB}}},
          .image_digest = std::string(64, 'd'),
          .image_size = {1000},
          .architecture = "arm64",
          .address = "172.16.0.64/24",
          .mac = "02:62:72:00:00:40",
          .gateway = "172.16.0.1",
          .dns = {"172.16.0.1"},
          .search_domain = "bramble.internal"};
}

std::vector<NodeMessage> NodeMessages() {
  return {Hello{.version = {3, 9},
                .session_value = "s2",
                .previous_session_value = "s1",
                .inventory = {.architecture = "arm64"},
                .hostname = "pi-1",
                .address = "172.16.0.11",
                .labels = {{"a", "b"}},
                .images = {std::string(64, 'e')},
                .wall_time_ms = 5},
          Heartbeat{.sequence = 7, .sent_boot_ns = 123456789, .version = {3, 9}},
          Report{.full = true,
                 .version = {3, 9},
                 .containers = {{.id = ContainerId::Trusted("c1"),
                                 .name = ContainerName::Trusted("web"),
                                 .project = ProjectName::Trusted("default"),
                                 .generation = 4,
                                 .state = ContainerState::kFailed,
                                 .reason = "exited",
                                 .exit_code = 1,
                                 .restarts = 2,
                                 .definition = SomeContainer()}},
                 .removed = {ContainerId::Trusted("c2")},
                 .images = {std::string(64, 'e')},
                 .images_changed = true},
          CommandResult{.command_id = "k1", .error_code = "x", .error = "y", .result = "z"},
          Resync{}};
}

std::vector<ControllerMessage> ControllerMessages() {
  return {Welcome{.epoch = 3,
                  .cluster_id = ClusterId::Trusted("k1"),
                  .name = NodeName::Trusted("pi-1"),
                  .session_value = "s3",
                  .signed_time_ms = 99,
                  .address = "172.16.0.11/24"},
          HeartbeatReply{.sequence = 7, .sent_boot_ns = 123456789, .lease_ms = 120000},
          Desired{.version = {3, 10},
                  .base = {3, 9},
                  .containers = {SomeContainer()},
                  .tombstones = {ContainerId::Trusted("c2")}},
          OpenStream{.ticket = "t",
                     .kind = StreamKind::kPush,
                     .container = ContainerId::Trusted("c1"),
                     .command = {"sh", "-c", "a\nb"},
                     .environment = {{"A", "b"}},
                     .tty = true,
                     .rows = 24,
                     .columns = 80,
                     .path = "/etc/x",
                     .mode = 0600},
          Command{.command_id = "k2", .verb = "reboot", .arguments = json::object{{"a", 1}}},
          Held{.reason = "card cloned"}};
}

TEST(NodeProtocolTest, EveryMessageGoesToTextAndBack) {
  for (const NodeMessage& message : NodeMessages()) {
    const std::string text = Encode(message);
    EXPECT_EQ(Encode(DecodeNodeMessage(text).value()), text);
  }
  for (const ControllerMessage& message : ControllerMessages()) {
    const std::string text = Encode(message);
    EXPECT_EQ(Encode(DecodeControllerMessage(text).value()), text);
  }
}

TEST(NodeProtocolTest, AMessageOfANewerVersionIsTold) {
  EXPECT_EQ(DecodeNodeMessage(R"({"type":"dance"})").status().code(),
            absl::StatusCode::kUnimplemented);
  EXPECT_TRUE(DecodeNodeMessage(R"({"type":"resync","new_field":1})").ok());
  for (const char* bad : {"", "[]", "{}", R"({"type":7})", R"({"type":"heartbeat"})",
                          R"({"type":"report","full":true,"removed":["../x"]})"}) {
    EXPECT_EQ(DecodeNodeMessage(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

// The messages of protocol version 1, one a line, as they are on the wire of shipped versions.
TEST(NodeProtocolTest, TheGoldenMessagesAreStillUnderstoodAndWritten) {
  std::ifstream golden("tests/data/api/node_protocol_v1.jsonl");
  ASSERT_TRUE(golden.good());
  std::string line;
  for (const NodeMessage& message : NodeMessages()) {
    ASSERT_TRUE(std::getline(golden, line));
    EXPECT_EQ(Encode(message), line);
    EXPECT_TRUE(DecodeNodeMessage(line).ok());
  }
  for (const ControllerMessage& message : ControllerMessages()) {
    ASSERT_TRUE(std::getline(golden, line));
    EXPECT_EQ(Encode(message), line);
    EXPECT_TRUE(DecodeControllerMessage(line).ok());
  }
  EXPECT_FALSE(std::getline(golden, line));
}

}  // namespace
}  // namespace bramble::api
