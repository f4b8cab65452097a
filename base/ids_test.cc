// SPDX-License-Identifier: Apache-2.0
#include "base/ids.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace bramble {
namespace {

TEST(IdsTest, ANameIsADnsLabelAndNothingElse) {
  EXPECT_TRUE(ContainerName::Parse("web-1").ok());
  EXPECT_TRUE(ContainerName::Parse("a").ok());
  for (const char* text :
       {"", "..", "a/b", "Web", "1web", "web-", "-web", "we b", "web\n", "w\xc3\xa9"}) {
    EXPECT_FALSE(ContainerName::Parse(text).ok()) << text;
  }
  EXPECT_TRUE(ContainerName::Parse(std::string(63, 'a')).ok());
  EXPECT_FALSE(ContainerName::Parse(std::string(64, 'a')).ok());
}

TEST(IdsTest, TheErrorNamesTheObjectAndEscapesControlCharacters) {
  const std::string message(ContainerName::Parse("x\x1b[2J").status().message());
  EXPECT_THAT(message, ::testing::StartsWith("container \"x\\x1b[2J\""));
}

TEST(IdsTest, RandomIdsAreValidAndDiffer) {
  SeededRandom random(1);
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = RandomIdText(random);
    EXPECT_TRUE(NodeId::Parse(id).ok()) << id;
    seen.insert(id);
  }
  EXPECT_EQ(seen.size(), 1000u);
}

}  // namespace
}  // namespace bramble
