// SPDX-License-Identifier: Apache-2.0
#include "node/uplink/said_again.h"

#include <gtest/gtest.h>

namespace bramble::node {
namespace {

TEST(SaidAgainTest, WhatChangedIsSaidAtOnceAndWhatHoldsOnOnceInAWhile) {
  const BootTime start{};
  SaidAgain said(std::chrono::minutes(60));
  EXPECT_TRUE(said.Due("a", "refused", start));
  EXPECT_FALSE(said.Due("a", "refused", start + std::chrono::minutes(59)));
  EXPECT_TRUE(said.Due("b", "refused", start)) << "another subject";
  EXPECT_TRUE(said.Due("a", "no route", start));
  EXPECT_TRUE(said.Due("a", "refused", start)) << "back again is a change";
  EXPECT_TRUE(said.Due("a", "refused", start + std::chrono::minutes(60)));
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(said.Due(std::to_string(i), "x", start));
  }
}

}  // namespace
}  // namespace bramble::node
