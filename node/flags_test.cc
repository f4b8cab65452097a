// SPDX-License-Identifier: Apache-2.0
#include "node/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bramble::node {
namespace {

absl::StatusOr<NodeFlags> Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "bramble-node");
  return ParseNodeFlags(static_cast<int>(arguments.size()), arguments.data());
}

TEST(NodeFlagsTest, EveryRootIsAFlagThatBeatsTheFile) {
  const absl::StatusOr<NodeFlags> flags = Parse(
      {"status", "--config", "/c", "--state=/s", "--run", "/r", "--sysfs", "/y", "-o", "json"});
  ASSERT_TRUE(flags.ok()) << flags.status();
  EXPECT_EQ(flags->verb, NodeFlags::Verb::kStatus);
  EXPECT_TRUE(flags->json);
  NodeConfig config;
  flags->ApplyTo(config);
  EXPECT_EQ(config.state_dir, "/s");
  EXPECT_EQ(config.run_dir, "/r");
  EXPECT_EQ(config.sys_dir, "/y");
  EXPECT_EQ(config.proc_dir, "/proc");
}

TEST(NodeFlagsTest, RefusesWhatItDoesNotKnow) {
  const std::vector<std::vector<const char*>> rows = {
      {"--confg", "x"}, {"start"}, {"run", "join"}, {"--config"}, {"-o", "yaml"}};
  for (const std::vector<const char*>& row : rows) {
    EXPECT_EQ(Parse(row).status().code(), absl::StatusCode::kInvalidArgument) << row[0];
  }
}

}  // namespace
}  // namespace bramble::node
