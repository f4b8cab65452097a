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

Ipv4 At(std::string_view text) { return Ipv4::Parse(text).value(); }

NetworkReport SomeReport() {
  return {.mode = UplinkMode::kRouted,
          .uplink = "wlan0",
          .address = Ipv4Interface::Parse("172.16.0.11/24").value(),
          .self_chosen = true,
          .link_up = true,
          .mtu = 1500,
          .default_gateway = At("192.168.1.1"),
          .conflicts = {{At("172.16.0.64"), "02:00:00:00:00:09", ContainerId::Trusted("c1")}},
          .dhcp_servers = {At("192.168.1.1")},
          .missing_features = {"br_netfilter"},
          .network_version = {3, 9},
          .names_version = {3, 8},
          .errors = {"nft: no"}};
}

// What issue 3 added: the messages about the network.
std::vector<NodeMessage> NetworkNodeMessages() {
  return {Hello{.inventory = {.architecture = "arm64"}, .network = SomeReport()},
          Report{.version = {3, 9}, .network = SomeReport()}};
}

std::vector<ControllerMessage> NetworkControllerMessages() {
  NodeContainer container = SomeContainer();
  container.spec.groups = {"default", "web"};
  container.spec.bandwidth = {.in_bps = 10'000'000, .out_bps = 5'000'000};
  container.dns = {"172.16.0.11", "172.16.0.1"};
  container.floating_addresses = {At("172.16.0.225")};
  container.firewall =
      ContainerFirewall{.policies = {"g/default/default", "g/default/web"},
                        .rules = {{.protocol = Protocol::kUdp, .port_first = 53, .port_last = 53}},
                        .restrict_out = true};
  return {Desired{.version = {3, 10}, .full = true, .containers = {container}},
          NodeNetwork{
              .version = {3, 10},
              .prefix = Ipv4Prefix::Parse("172.16.0.0/24").value(),
              .address = Ipv4Interface::Parse("172.16.0.11/24").value(),
              .gateway = At("172.16.0.1"),
              .controllers = {At("172.16.0.1")},
              .nodes = {At("172.16.0.11"), At("172.16.0.12")},
              .sets = {{"g/default/web", {At("172.16.0.64"), At("172.16.0.225")}},
                       {"p/default", {At("172.16.0.64"), At("172.16.0.65"), At("172.16.0.225")}}},
              .policies = {{"g/default/default", {{.set = "p/default"}}},
                           {"g/default/web",
                            {{.protocol = Protocol::kTcp, .port_first = 80, .port_last = 80},
                             {.direction = Direction::kOut,
                              .protocol = Protocol::kTcp,
                              .port_first = 8000,
                              .port_last = 8100,
                              .prefix = Ipv4Prefix::Parse("10.0.0.0/8").value()}}}}},
          Names{.version = {3, 10},
                .domain = "bramble.internal",
                .prefix = Ipv4Prefix::Parse("172.16.0.0/24").value(),
                .forwarders = {At("172.16.0.1")},
                .records = {{"web.bramble.internal", At("172.16.0.64")},
                            {"web.default.bramble.internal", At("172.16.0.64"), true}}}};
}

TEST(NodeProtocolTest, AValueThatCouldBreakAConfigurationIsRefused) {
  for (
      const char* bad :
      {R"({"type":"names","domain":"x","prefix":"10.0.0.0/24","records":[{"name":"a b","address":"1.2.3.4"}]})",
       R"({"type":"names","domain":"x","prefix":"10.0.0.0/24","records":[{"name":"a\u000ab","address":"1.2.3.4"}]})",
       R"({"type":"network","prefix":"10.0.0.0/24","address":"10.0.0.2/24","gateway":"10.0.0.1","sets":[{"name":"a;b"}]})",
       R"({"type":"network","prefix":"10.0.0.0/24","address":"10.0.0.2/24","gateway":"10.0.0.1","policies":[{"name":"g/a","rules":[{"direction":"in","protocol":"tcp","port_first":0}]}]})",
       R"({"type":"network","prefix":"10.0.0.0/24","address":"10.0.0.2/24","gateway":"10.0.0.1","policies":[{"name":"g/a","rules":[{"direction":"in","protocol":"any","port_first":1,"port_last":2}]}]})",
       R"({"type":"network","prefix":"10.0.0.7/24","address":"10.0.0.2/24","gateway":"10.0.0.1"})"}) {
    EXPECT_EQ(DecodeControllerMessage(bad).status().code(), absl::StatusCode::kInvalidArgument)
        << bad;
  }
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
void CompareWithGolden(const std::string& path, const std::vector<NodeMessage>& of_node,
                       const std::vector<ControllerMessage>& of_controller) {
  std::ifstream golden(path);
  ASSERT_TRUE(golden.good());
  std::string line;
  for (const NodeMessage& message : of_node) {
    ASSERT_TRUE(std::getline(golden, line));
    EXPECT_EQ(Encode(message), line);
    const absl::StatusOr<NodeMessage> decoded = DecodeNodeMessage(line);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(Encode(*decoded), line);
  }
  for (const ControllerMessage& message : of_controller) {
    ASSERT_TRUE(std::getline(golden, line));
    EXPECT_EQ(Encode(message), line);
    const absl::StatusOr<ControllerMessage> decoded = DecodeControllerMessage(line);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(Encode(*decoded), line);
  }
  EXPECT_FALSE(std::getline(golden, line));
}

TEST(NodeProtocolTest, TheGoldenMessagesAreStillUnderstoodAndWritten) {
  CompareWithGolden("tests/data/api/node_protocol_v1.jsonl", NodeMessages(), ControllerMessages());
  CompareWithGolden("tests/data/api/node_protocol_network_v1.jsonl", NetworkNodeMessages(),
                    NetworkControllerMessages());
}

}  // namespace
}  // namespace bramble::api
