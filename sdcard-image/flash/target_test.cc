// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/flash/target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/status.h"
#include "base/temporary_directory.h"
#include "sdcard-image/flash/faulty_device.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"

namespace bramble::sdcard {
namespace {

using ::testing::HasSubstr;

TargetFacts GoodCard() {
  return {.path = "/dev/sdb", .is_block_device = true, .bytes = 32'000'000'000, .removable = true};
}

std::string Refusal(const TargetFacts& facts, uint64_t bytes = 1000) {
  return std::string(MessageOf(CheckTarget(facts, bytes)));
}

TEST(TargetTest, AFreeCardIsTaken) { EXPECT_EQ(CheckTarget(GoodCard(), 1000), absl::OkStatus()); }

TEST(TargetTest, WhatMustNotBeOverwrittenIsRefused) {
  TargetFacts facts = GoodCard();
  facts.mounted_at = {"/media/me/BOOT"};
  EXPECT_THAT(Refusal(facts), HasSubstr("mounted at /media/me/BOOT: unmount it"));
  facts.holds_system = true;
  EXPECT_THAT(Refusal(facts), HasSubstr("this system runs from"));
  facts = GoodCard();
  facts.used_by = {"swap", "dm-0"};
  EXPECT_THAT(Refusal(facts), HasSubstr("in use by swap, dm-0"));
  facts = GoodCard();
  facts.is_partition = true;
  EXPECT_THAT(Refusal(facts), HasSubstr("name the whole card"));
  facts = GoodCard();
  facts.read_only = true;
  EXPECT_THAT(Refusal(facts), HasSubstr("write-protected"));
}

TEST(TargetTest, ACardTooSmallIsToldByHowMuch) {
  EXPECT_THAT(Refusal(GoodCard(), 32'000'000'512), HasSubstr("too small by 512 bytes"));
}

TEST(TargetTest, AFileIsNoBlockDeviceAndMayBeAnything) {
  const TemporaryDirectory directory;
  ASSERT_EQ(WriteFileAtomically(directory / "card", std::string(4096, 'x')), absl::OkStatus());
  const TargetFacts facts = GatherTargetFacts(directory / "card").value();
  EXPECT_FALSE(facts.is_block_device);
  EXPECT_EQ(facts.bytes, 4096u);
  EXPECT_EQ(CheckTarget(facts, 1 << 30), absl::OkStatus());
  EXPECT_TRUE(absl::IsNotFound(GatherTargetFacts(directory / "none").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(GatherTargetFacts(directory.path()).status()));
}

// A disk that nobody may open is known by what the kernel says of it.  Skipped where there is no
// block device at all.
TEST(TargetTest, ABlockDeviceIsNotOpenedToBeJudged) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/class/block", ignored)) {
    const std::filesystem::path node = "/dev" / entry.path().filename();
    uint64_t sectors = 0;
    if (std::filesystem::is_block_file(node, ignored) &&
        absl::SimpleAtoi(
            absl::StripAsciiWhitespace(ReadFile(entry.path() / "size", 64).value_or("")),
            &sectors)) {
      const absl::StatusOr<TargetFacts> facts = GatherTargetFacts(node);
      ASSERT_TRUE(facts.ok()) << facts.status();
      EXPECT_TRUE(facts->is_block_device);
      EXPECT_EQ(facts->bytes, sectors * 512);
      return;
    }
  }
  GTEST_SKIP() << "no block device on this machine";
}

TEST(ProbeTest, AGoodCardKeepsWhatItHeld) {
  FaultyDevice card(300 << 20, 'o');
  EXPECT_EQ(ProbeCapacity(card, card.size()), absl::OkStatus());
  EXPECT_EQ(card.bytes, std::string(300 << 20, 'o'));
}

TEST(ProbeTest, ACardThatWrapsAroundIsFound) {
  FaultyDevice card(300 << 20, 'o');
  card.real_bytes = 64 << 20;
  const absl::Status fake = ProbeCapacity(card, card.size());
  EXPECT_TRUE(absl::IsDataLoss(fake));
  EXPECT_THAT(std::string(MessageOf(fake)), HasSubstr("counterfeit"));
}

TEST(ProbeTest, ACardThatDropsWhatIsBeyondIsFound) {
  FaultyDevice card(300 << 20, 'o');
  card.loses_at = (300 << 20) - 100;
  card.loses_times = 1;
  EXPECT_THAT(std::string(MessageOf(ProbeCapacity(card, card.size()))),
              HasSubstr("between 268435456 and"));
}

}  // namespace
}  // namespace bramble::sdcard
