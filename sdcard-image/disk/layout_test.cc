// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/disk/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"

namespace bramble::sdcard {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string ErrorOf(const LayoutOptions& options) {
  return std::string(MessageOf(PlanLayout(options).status()));
}

TEST(LayoutTest, TheDefaultCardHasEveryBoundaryOnALineOfFourMebibytes) {
  const Layout layout = PlanLayout({}).value();

  EXPECT_EQ(layout.card_bytes, 31'998'345'216u);
  for (const uint64_t at : {layout.boot_offset, layout.boot_bytes, layout.swap_offset,
                            layout.swap_bytes, layout.root_offset, layout.root_bytes}) {
    EXPECT_EQ(at % kUnitBytes, 0u) << at;
  }
  EXPECT_EQ(layout.boot_bytes, 512u << 20);
  EXPECT_EQ(layout.root_offset + layout.root_bytes, layout.card_bytes) << "root is last";
}

TEST(LayoutTest, TheTableSaysWhatTheLayoutSays) {
  const Layout layout = PlanLayout({.swap_bytes = 256 << 20}).value();
  const Mbr mbr = ParseMbr(FormatMbr(layout.ToMbr(0x1234abcd))).value();

  EXPECT_EQ(mbr.disk_id, 0x1234abcdu);
  EXPECT_EQ(mbr.partitions[0].type, kMbrFat32);
  EXPECT_EQ(mbr.partitions[0].offset(), layout.boot_offset);
  EXPECT_EQ(mbr.partitions[1].bytes(), 256u << 20);
  EXPECT_EQ(mbr.partitions[2].end(), layout.card_bytes);
  EXPECT_EQ(mbr.partitions[3].type, 0);
  EXPECT_EQ(PartUuid(mbr.disk_id, 3), "1234abcd-03");
}

TEST(LayoutTest, WithoutSwapItsSlotStaysFreeAndTheRootKeepsItsNumber) {
  const Mbr mbr = PlanLayout({.swap_bytes = 0}).value().ToMbr(1);

  EXPECT_EQ(mbr.partitions[kSwapSlot].type, 0);
  EXPECT_EQ(mbr.partitions[kRootSlot].type, kMbrLinux);
}

TEST(LayoutTest, ASizeThatIsNoMultipleNamesTheNextOnes) {
  EXPECT_THAT(ErrorOf({.card_bytes = 8'000'000'000}),
              AllOf(HasSubstr("7998537728"), HasSubstr("8002732032")));
}

TEST(LayoutTest, ACardTooSmallIsToldTheMinimum) {
  const LayoutOptions options = {.card_bytes = 1024 << 20, .root_used_bytes = 900 << 20};
  const uint64_t minimum = MinimumCardBytes(options);

  EXPECT_THAT(ErrorOf(options), HasSubstr(StrCat("at least ", minimum)));
  EXPECT_THAT(ErrorOf(options), HasSubstr(StrCat("too small by ", minimum - (1024 << 20))));
  EXPECT_TRUE(PlanLayout({.card_bytes = minimum, .root_used_bytes = 900 << 20}).ok());
  EXPECT_FALSE(PlanLayout({.card_bytes = minimum - kUnitBytes, .root_used_bytes = 900 << 20}).ok());
}

TEST(LayoutTest, WhatATableCannotDescribeIsRefused) {
  EXPECT_THAT(ErrorOf({.card_bytes = uint64_t{4} << 40}), HasSubstr("at most"));
  EXPECT_THAT(ErrorOf({.boot_bytes = 32 << 20}), HasSubstr("boot partition"));
}

TEST(MbrTest, ASectorWithoutItsMarkIsNoTable) {
  EXPECT_FALSE(ParseMbr(std::string(512, '\0')).ok());
  EXPECT_FALSE(ParseMbr(FormatMbr({}).substr(0, 511)).ok());
}

}  // namespace
}  // namespace bramble::sdcard
