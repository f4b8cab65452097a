// SPDX-License-Identifier: Apache-2.0
#include "base/tar.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>

#include "base/file.h"
#include "base/subprocess.h"
#include "base/temporary_directory.h"

namespace bramble {
namespace {

using ::testing::HasSubstr;

TarReader::Source FromText(std::string text) {
  return [text = std::move(text), at = size_t{0}](char* out, size_t size) mutable {
    const size_t got = std::min(size, text.size() - at);
    std::memcpy(out, text.data() + at, got);
    at += got;
    return absl::StatusOr<size_t>(got);
  };
}

std::string Archive(const std::vector<std::pair<TarEntry, std::string>>& members) {
  std::string text;
  for (const auto& [entry, data] : members) {
    text += TarHeader(entry) + data + TarPadding(data.size());
  }
  return text + TarEnd();
}

// What GNU tar says of an archive that a hole of `hole` bytes follows.
std::string ListedByTar(const std::string& text, int64_t hole) {
  const TemporaryDirectory directory;
  const std::filesystem::path file = directory / "x.tar";
  const Fd fd = OpenFile(file, O_WRONLY | O_CREAT, 0600).value();
  EXPECT_TRUE(WriteAll(fd.get(), text, "x.tar").ok());
  EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(text.size()) + hole), 0);
  const auto listed =
      RunCommand({.argv = {"tar", "--numeric-owner", "-tvf", file.string()}}).value();
  return listed.out + listed.err;
}

TEST(TarTest, WhatIsWrittenIsRead) {
  const std::string long_name = std::string(120, 'd') + "/" + std::string(300, 'f');
  const std::vector<std::pair<TarEntry, std::string>> members = {
      {{.name = "a", .size = 3, .mode = 04751, .uid = 1000, .gid = 2000, .mtime_s = 7}, "abc"},
      {{.name = "dir/", .type = TarType::kDirectory, .mode = 01777}, ""},
      {{.name = "link", .type = TarType::kSymlink, .link = std::string(150, 'l')}, ""},
      {{.name = "hard", .type = TarType::kHardLink, .link = "a"}, ""},
      {{.name = std::string(90, 'p') + "/" + std::string(60, 'n'), .size = 512},
       std::string(512, 'x')},
      {{.name = long_name, .size = 1, .uid = 4'000'000'000}, "y"}};
  TarReader reader(FromText(Archive(members)));
  for (const auto& [wanted, data] : members) {
    const auto next = reader.Next();
    ASSERT_TRUE(next.ok() && next->has_value()) << next.status();
    const TarEntry& got = **next;
    EXPECT_EQ(got.name, wanted.name);
    EXPECT_EQ(got.type, wanted.type);
    EXPECT_EQ(got.link, wanted.link);
    EXPECT_EQ(got.mode, wanted.mode);
    EXPECT_EQ(got.uid, wanted.uid);
    EXPECT_EQ(got.gid, wanted.gid);
    EXPECT_EQ(got.size, wanted.size);
    std::string bytes(1000, '\0');
    bytes.resize(reader.Read(bytes.data(), bytes.size()).value());
    EXPECT_EQ(bytes, data);
  }
  const auto end = reader.Next();
  EXPECT_TRUE(end.ok() && !end->has_value());
}

TEST(TarTest, DataThatIsNotReadIsSkipped) {
  TarReader reader(FromText(Archive(
      {{{.name = "a", .size = 1500}, std::string(1500, 'a')}, {{.name = "b", .size = 1}, "b"}})));
  ASSERT_EQ((**reader.Next()).name, "a");
  char some[10];
  ASSERT_EQ(reader.Read(some, sizeof(some)).value(), 10u);
  EXPECT_EQ((**reader.Next()).name, "b");
}

TEST(TarTest, ASizeAboveEightGibibytesIsSaidAndReadInFull) {
  for (const uint64_t size :
       {(uint64_t{8} << 30) - 1, uint64_t{8} << 30, uint64_t{9} << 30, (uint64_t{5} << 40) + 513}) {
    const std::string header = TarHeader({.name = "controller.db", .size = size});
    TarReader reader(FromText(header));
    EXPECT_EQ((**reader.Next()).size, size);
    // Another program reads it so too; the data is a hole.
    const auto hole = static_cast<int64_t>(size + TarPadding(size).size() + 2 * kTarBlock);
    if (size < uint64_t{1} << 40) {  // what a file may be on every file system
      EXPECT_THAT(ListedByTar(header, hole), HasSubstr(" " + std::to_string(size) + " "));
    }
  }
}

TEST(TarTest, LongNamesAreReadByGnuTarToo) {
  const std::string name = std::string(120, 'd') + "/" + std::string(300, 'f');
  const std::string listed = ListedByTar(
      Archive({{{.name = name}, ""},
               {{.name = "s", .type = TarType::kSymlink, .link = std::string(200, 't')}, ""}}),
      0);
  EXPECT_THAT(listed, HasSubstr(name));
  EXPECT_THAT(listed, HasSubstr("s -> " + std::string(200, 't')));
}

TEST(TarTest, WhatGnuTarWritesIsReadInItsFormatAndInPax) {
  const TemporaryDirectory directory;
  const std::string name = std::string(100, 'd') + "/" + std::string(200, 'f');
  std::filesystem::create_directories(directory / std::string(100, 'd'));
  ASSERT_TRUE(WriteFileAtomically(directory / name, "hello").ok());
  std::filesystem::create_symlink(std::string(180, 't'), directory / "z");
  for (const std::string& format : {std::string("gnu"), std::string("pax"), std::string("posix")}) {
    const std::string made =
        RunCommand({.argv = {"tar", "--sort=name", "--format=" + format, "-C",
                             directory.path().string(), "-c", std::string(100, 'd'), "z"}})
            .value()
            .out;
    TarReader reader(FromText(made));
    EXPECT_EQ((**reader.Next()).type, TarType::kDirectory);
    const TarEntry file = **reader.Next();
    EXPECT_EQ(file.name, name) << format;
    EXPECT_EQ(file.size, 5u);
    const TarEntry link = **reader.Next();
    EXPECT_EQ(link.type, TarType::kSymlink);
    EXPECT_EQ(link.link, std::string(180, 't')) << format;
    EXPECT_FALSE(reader.Next()->has_value());
  }
}

TEST(TarTest, WhatIsNoArchiveIsRefused) {
  const std::string good = TarHeader({.name = "a", .size = 600});
  std::string flipped = good;
  flipped[0] = 'b';
  std::string letters = good;
  letters[124] = 'z';
  std::string negative = good;
  negative[124] = static_cast<char>(0xff);
  for (const std::string& bad :
       {std::string(), std::string(512, 'x'), std::string(100, '\0'), flipped, letters, negative}) {
    TarReader reader(FromText(bad));
    EXPECT_TRUE(absl::IsInvalidArgument(reader.Next().status()));
  }
  TarReader cut(FromText(good + std::string(100, 'x')));
  ASSERT_TRUE(cut.Next().ok());
  EXPECT_TRUE(absl::IsInvalidArgument(cut.Next().status())) << "it ends within the data";
}

TEST(TarTest, ANameOfMoreThan64KibIsRefusedBeforeItIsRead) {
  std::string header = TarHeader({.name = "x", .size = uint64_t{1} << 32});
  header[156] = 'L';
  // The checksum again, as the header's own bytes give it.
  std::memset(header.data() + 148, ' ', 8);
  uint32_t sum = 0;
  for (const char byte : header) {
    sum += static_cast<unsigned char>(byte);
  }
  std::snprintf(header.data() + 148, 8, "%06o", sum);
  header[155] = ' ';
  TarReader reader(FromText(header));
  EXPECT_THAT(std::string(reader.Next().status().message()), HasSubstr("65536"));
}

}  // namespace
}  // namespace bramble
