// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/args.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bramble::cli {
namespace {

TEST(ArgsTest, DurationsAreReadWholeAndWithinAYear) {
  EXPECT_EQ(ParseSeconds("90")->count(), 90);
  EXPECT_EQ(ParseSeconds("10m")->count(), 600);
  EXPECT_EQ(ParseSeconds("2h")->count(), 7200);
  EXPECT_EQ(ParseSeconds("7d")->count(), 604800);
  for (const char* bad : {"", "m", "-5s", "5 s", "5x", "5mm", "99999999999999999999", "4000000d"}) {
    EXPECT_FALSE(ParseSeconds(bad).ok()) << bad;
  }
}

TEST(ArgsTest, WrongValuesAreMisuseThatNamesTheFlag) {
  Args args;
  args.AddFlag("memory", "lots");
  args.AddFlag("pids", "12x");
  args.AddFlag("label", "novalue");

  EXPECT_TRUE(IsMisuse(args.Size("memory").status()));
  EXPECT_THAT(std::string(args.Size("memory").status().message()),
              ::testing::StartsWith("--memory: "));
  EXPECT_TRUE(IsMisuse(args.Int("pids", {.min = 0, .max = 10}).status()));
  EXPECT_THAT(std::string(args.Int("pids", {.min = 0, .max = 10}).status().message()),
              ::testing::HasSubstr("a number from 0 to 10"));
  EXPECT_THAT(std::string(args.Map("label").status().message()),
              ::testing::HasSubstr("write KEY=VALUE"));
}

TEST(ArgsTest, WhatIsNotGivenIsNeitherAValueNorAnError) {
  const Args args;
  EXPECT_FALSE(args.Int("pids", {.min = 0, .max = 10})->has_value());
  EXPECT_FALSE(args.Cpu("cpu")->has_value());
  EXPECT_EQ(args.Text("name", "otherwise"), "otherwise");
  EXPECT_EQ(args.Positional(3), "");
}

}  // namespace
}  // namespace bramble::cli
