// SPDX-License-Identifier: Apache-2.0
#include "node/config/node_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bramble::node {
namespace {

using testing::HasSubstr;

absl::StatusOr<NodeConfig> Parse(std::string_view text) {
  absl::StatusOr<ConfigFile> file = ConfigFile::Parse(text, "node.toml");
  if (!file.ok()) {
    return file.status();
  }
  return ParseNodeConfig(*file);
}

TEST(NodeConfigTest, AnEmptyFileIsTheDefaults) {
  const absl::StatusOr<NodeConfig> config = Parse("");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->state_dir, "/var/lib/bramble/node");
  EXPECT_EQ(config->network.bridge, "br0");
  EXPECT_TRUE(config->network.manage);
}

TEST(NodeConfigTest, TheClockIsSetOnlyWhereTheMachineIsTheNodesOwn) {
  EXPECT_TRUE(MaySetClock(Parse("").value()));
  EXPECT_FALSE(MaySetClock(Parse("set_clock = false").value()));
  for (const char* text : {"state_dir = \"/var/tmp/demo/node-1\"", "run_dir = \"/run/node-2\""}) {
    EXPECT_FALSE(MaySetClock(Parse(text).value())) << "several nodes on one machine: " << text;
  }
  NodeConfig config;
  config.sys_dir = "/tmp/sys";
  EXPECT_FALSE(MaySetClock(config));
}

TEST(NodeConfigTest, ReadsEveryKeyAndWritesItBack) {
  const absl::StatusOr<NodeConfig> config = Parse(R"(
name = "pi-1"
join_token = "brm1.secretsecret"
controllers = ["172.16.0.1", "ctl:9000"]
state_dir = "/tmp/s"
run_dir = "/tmp/r"
start_jitter = "10ms"
max_starts = 2
[network]
manage = false
bridge = "bramble0"
port = ""
address = "172.16.0.11/24"
gateway = "172.16.0.1"
[labels]
disk = "ssd"
"bramble.io/room" = "b12"
)");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->labels.at("bramble.io/room"), "b12");
  EXPECT_EQ(config->network.address.str(), "172.16.0.11/24");

  const std::string text = FormatNodeConfig(*config);
  EXPECT_THAT(text, testing::Not(HasSubstr("secretsecret")));
  const absl::StatusOr<NodeConfig> again = Parse(text);
  ASSERT_TRUE(again.ok()) << again.status() << text;
  EXPECT_EQ(FormatNodeConfig(*again), text);
}

TEST(NodeConfigTest, RefusesWhatItDoesNotKnowAndSaysWhere) {
  const std::pair<const char*, const char*> rows[] = {
      {"nmae = \"x\"", "nmae"},
      {"[network]\nbrigde = \"x\"", "brigde"},
      {"[network]\nbridge = \"-x\"", "bridge"},
      {"[network]\nport = \"a/b\"", "port"},
      {"[network]\naddress = \"172.16.0.300/24\"", "address"},
      {"name = \"Pi_1\"", "name"},
      {"controllers = [\"a:b\"]", "controllers"},
      {"max_starts = 0", "max_starts"},
      {"join_token = \"a\"\njoin_token_file = \"b\"", "not both"},
      {"id_ranges = 32768\nid_first = 2147483647", "id_ranges"},
      {"[labels]\n\"bad key\" = \"x\"", "bad key"},
      {"[labels]\nBad = \"x\"", "node.toml:1: key \"labels\""},
      {"name = ", "node.toml"},
  };
  for (const auto& [text, word] : rows) {
    const absl::StatusOr<NodeConfig> config = Parse(text);
    ASSERT_FALSE(config.ok()) << text;
    EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(config.status().message()), HasSubstr(word));
  }
}

}  // namespace
}  // namespace bramble::node
