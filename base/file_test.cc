// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "base/status.h"
#include "base/temporary_directory.h"

namespace bramble {
namespace {

using ::testing::HasSubstr;

TEST(FileTest, WhatWasWrittenIsRead) {
  const TemporaryDirectory dir;
  const std::string bytes = std::string("a\0b", 3) + std::string(200'000, 'x');

  ASSERT_TRUE(WriteFileAtomically(dir / "f", bytes, 0640).ok());

  EXPECT_EQ(ReadFile(dir / "f", 1 << 20).value(), bytes);
  struct stat info;
  ASSERT_EQ(::stat((dir / "f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0640u);
}

TEST(FileTest, ReplacingLeavesNoOtherFile) {
  const TemporaryDirectory dir;
  ASSERT_TRUE(WriteFileAtomically(dir / "f", "old").ok());
  ASSERT_TRUE(WriteFileAtomically(dir / "f", "new").ok());

  EXPECT_EQ(ReadFile(dir / "f", 100).value(), "new");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1);
}

TEST(FileTest, FailedReplacementLeavesTheOldFileAndNothingElse) {
  const TemporaryDirectory dir;
  std::filesystem::create_directory(dir / "d");
  std::filesystem::create_directory(dir / "d/below");

  EXPECT_FALSE(WriteFileAtomically(dir / "d", "x").ok()) << "a directory is in the way";

  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1);
}

TEST(FileTest, ErrorsNameThePath) {
  const TemporaryDirectory dir;
  ASSERT_TRUE(WriteFileAtomically(dir / "f", "0123456789").ok());

  const absl::Status missing = ReadFile(dir / "none", 10).status();
  EXPECT_TRUE(absl::IsNotFound(missing));
  EXPECT_THAT(std::string(MessageOf(missing)), HasSubstr((dir / "none").string()));
  EXPECT_TRUE(absl::IsResourceExhausted(ReadFile(dir / "f", 9).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ReadFile(dir.path(), 9).status()));
  EXPECT_TRUE(absl::IsNotFound(WriteFileAtomically(dir / "none/f", "x")));
  EXPECT_TRUE(absl::IsNotFound(WriteToExisting(dir / "none", "x")));
}

TEST(FileTest, ReadsANumberOfTheKernelWhole) {
  std::ifstream stream("/proc/sys/kernel/pid_max");
  std::string expected;
  std::getline(stream, expected);
  ASSERT_GT(expected.size(), 1u);

  const auto text = ReadFile("/proc/sys/kernel/pid_max", 4096);

  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(*text, expected + "\n");
}

TEST(FileTest, ReadsFilesThatSayTheyAreEmpty) {
  EXPECT_THAT(ReadFile("/proc/self/status", 1 << 20).value(), HasSubstr("Pid:"));
}

TEST(FileTest, MakesDirectoriesAndIsContentWhenTheyExist) {
  const TemporaryDirectory dir;

  EXPECT_TRUE(MakeDirectories(dir / "a/b/c", 0700).ok());
  EXPECT_TRUE(MakeDirectories(dir / "a/b/c", 0700).ok());
  ASSERT_TRUE(WriteFileAtomically(dir / "f", "x").ok());
  EXPECT_TRUE(absl::IsAlreadyExists(MakeDirectories(dir / "f")));
}

// A full disk: a file system of its own, if we may make one.
TEST(FileTest, FullDiskIsSaidAndTheOldFileStays) {
  const std::filesystem::path full = "/dev/full";
  if (!std::filesystem::exists(full)) {
    GTEST_SKIP() << "no /dev/full here";
  }

  const absl::Status status = WriteToExisting(full, "x");

  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
}

}  // namespace
}  // namespace bramble
