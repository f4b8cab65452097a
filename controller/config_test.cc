// SPDX-License-Identifier: Apache-2.0
#include "controller/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"

namespace bramble::controller {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

absl::StatusOr<Config> Read(std::string_view text) {
  BRAMBLE_ASSIGN_OR_RETURN(const ConfigFile file, ConfigFile::Parse(text, "controller.toml"));
  return ReadConfig(file);
}

TEST(ConfigTest, AnEmptyFileGivesTheDefaults) {
  const absl::StatusOr<Config> config = Read("");

  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->people.port, 8443);
  EXPECT_EQ(config->nodes.port, 8444);
  EXPECT_EQ(config->prefix.str(), "172.16.0.0/24");
}

TEST(ConfigTest, WhatIsPrintedIsReadBackTheSame) {
  Config config;
  config.name = "lab-3";
  config.prefix = Ipv4Prefix::Parse("10.9.0.0/20").value();
  config.timing_preset = "fast";
  config.timing = TimingPreset("fast").value();
  config.timing.lost_after = std::chrono::seconds(90);
  config.node_addresses = {"10.9.0.1:8444"};

  const absl::StatusOr<Config> again = Read(FormatConfig(config));

  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(FormatConfig(*again), FormatConfig(config));
}

struct Bad {
  std::string_view text;
  std::string_view line;
  std::string_view names;
};

TEST(ConfigTest, RefusesWhatItDoesNotKnowAndSaysWhere) {
  const Bad bad[] = {
      {"name = \"x\"\nlog_levle = \"info\"\n", "controller.toml:2", "log_levle"},
      {"[people]\nprot = 1\n", "controller.toml:2", "prot"},
      {"[nodes]\nport = 70000\n", "controller.toml:2", "port"},
      {"[timing]\npreset = \"quick\"\n", "controller.toml:2", "default"},
      {"[timing]\nlost = \"1s\"\n", "", "[timing]"},
      {"[timing]\nlease = 30\n", "controller.toml:2", "lease"},
      {"[network]\nprefix = \"172.16.0.0/8\"\n", "controller.toml:2", "prefix"},
      {"placement = \"best\"\n", "controller.toml:1", "spread"},
      {"name = \n", "controller.toml:1", ""},
      {"[limits]\nbody = \"1KiB\"\n", "controller.toml:2", "body"},
  };
  for (const Bad& each : bad) {
    const absl::StatusOr<Config> config = Read(each.text);
    ASSERT_FALSE(config.ok()) << each.text;
    EXPECT_THAT(std::string(config.status().message()),
                AllOf(HasSubstr(std::string(each.line)), HasSubstr(std::string(each.names))));
  }
}

}  // namespace
}  // namespace bramble::controller
