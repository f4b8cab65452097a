// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/boards/board.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/status.h"
#include "base/temporary_directory.h"

namespace bramble::sdcard {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(BoardTest, EveryBoardThatIsShippedLoads) {
  const std::vector<Board> boards = LoadBoards("sdcard-image/boards").value();

  EXPECT_EQ(boards.size(), 3u);
  EXPECT_EQ(FindBoard(boards, "pi-armhf")->architecture, "armhf");
  EXPECT_EQ(FindBoard(boards, "pi5-arm64")->kernel_suite, "SUITE-backports");
}

TEST(BoardTest, AnUnknownOneIsToldWhichThereAre) {
  const std::vector<Board> boards = LoadBoards("sdcard-image/boards").value();
  EXPECT_THAT(
      std::string(MessageOf(FindBoard(boards, "pi9").status())),
      AllOf(HasSubstr("unknown board \"pi9\""), HasSubstr("pi-arm64, pi-armhf, pi5-arm64")));
}

TEST(BoardTest, AWrongDescriptionIsRefusedByKeyAndLine) {
  const TemporaryDirectory directory;
  const auto error_of = [&](std::string_view text) {
    EXPECT_EQ(WriteFileAtomically(directory / "x.toml", text), absl::OkStatus());
    return std::string(MessageOf(LoadBoard(directory / "x.toml").status()));
  };
  const std::string good =
      "name = \"x\"\narchitecture = \"arm64\"\nsuites = [\"trixie\"]\nkernel_package = \"k\"\n";
  EXPECT_EQ(error_of(good), "");
  EXPECT_THAT(error_of(good + "kernel = \"k\"\n"),
              AllOf(HasSubstr("x.toml:5"), HasSubstr("kernel")));
  EXPECT_THAT(error_of("name = \"x\"\narchitecture = \"mips\"\n"), HasSubstr("x.toml:2"));
  EXPECT_THAT(error_of(good + "[[driver]]\npurpose = \"card\"\n"), HasSubstr("any_of"));
}

}  // namespace
}  // namespace bramble::sdcard
