// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/disk/compress.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "base/file.h"
#include "base/hash.h"
#include "base/random.h"
#include "base/status.h"
#include "base/temporary_directory.h"
#include "sdcard-image/disk/image_reader.h"
#include "sdcard-image/disk/memory_device.h"

namespace bramble::sdcard {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kImageBytes = 200 << 20;

class CompressTest : public ::testing::TestWithParam<Compression> {
 protected:
  // 200 MiB with data at both ends and in the middle.
  void SetUp() override {
    const Fd fd = OpenFile(directory_ / "raw", O_RDWR | O_CREAT).value();
    ASSERT_EQ(::ftruncate(fd.get(), kImageBytes), 0);
    SeededRandom random(1);
    data_ = random.Bytes(5 << 20);
    for (const off_t at : {off_t{0}, off_t{100 << 20}, off_t(kImageBytes - data_.size())}) {
      ASSERT_EQ(::pwrite(fd.get(), data_.data(), data_.size(), at),
                static_cast<ssize_t>(data_.size()));
    }
    auto image = FileDevice::Open(directory_ / "raw", FileDevice::Mode::kRead).value();
    const ExtentSet mapped = DataExtents(image->fd(), image->size()).value();
    ASSERT_EQ(CompressImage(*image, mapped, {.kind = GetParam(), .level = 1},
                            [this](std::string_view bytes) {
                              packed_ += bytes;
                              return absl::OkStatus();
                            }),
              absl::OkStatus());
  }

  absl::StatusOr<uint64_t> BytesOfHolesIn(const std::string& packed) {
    EXPECT_EQ(WriteFileAtomically(directory_ / "packed", packed), absl::OkStatus());
    BRAMBLE_ASSIGN_OR_RETURN(auto reader, ImageReader::Open(directory_ / "packed"));
    EXPECT_EQ(reader->size(), kImageBytes);
    const Fd raw = OpenFile(directory_ / "raw", O_RDONLY).value();
    uint64_t at = 0;
    uint64_t holes = 0;
    while (true) {
      BRAMBLE_ASSIGN_OR_RETURN(const auto piece, reader->Next());
      if (!piece.has_value()) {
        break;
      }
      EXPECT_EQ(piece->offset, at);
      std::string original(piece->size, '\0');
      EXPECT_EQ(::pread(raw.get(), original.data(), original.size(), static_cast<off_t>(at)),
                static_cast<ssize_t>(original.size()));
      const std::string bytes = piece->hole ? std::string(piece->size, '\0') : *piece->bytes;
      EXPECT_TRUE(original == bytes) << "at " << at;
      holes += piece->hole ? piece->size : 0;
      at += piece->size;
    }
    EXPECT_EQ(at, kImageBytes);
    return holes;
  }

  TemporaryDirectory directory_;
  std::string data_;
  std::string packed_;
};

TEST_P(CompressTest, WhatIsPackedIsReadBackWithItsHoles) {
  EXPECT_LT(packed_.size(), 3 * data_.size() + 300'000);
  EXPECT_GT(BytesOfHolesIn(packed_).value(), uint64_t{100} << 20);
}

TEST_P(CompressTest, AFileCutShortIsRefused) {
  const absl::Status cut = BytesOfHolesIn(packed_.substr(0, packed_.size() - 7)).status();

  EXPECT_TRUE(absl::IsDataLoss(cut)) << cut;
  EXPECT_THAT(std::string(MessageOf(cut)), HasSubstr("cut short"));
}

TEST_P(CompressTest, ADamagedFileIsRefused) {
  std::string damaged = packed_;
  damaged[data_.size() / 2] ^= 1;

  EXPECT_TRUE(absl::IsDataLoss(BytesOfHolesIn(damaged).status()));
}

TEST(CompressKeptTest, BlocksThatWereMadeBeforeAreTakenAndDamagedOnesAreNot) {
  const TemporaryDirectory directory;
  ASSERT_EQ(MakeDirectories(directory / "kept"), absl::OkStatus());
  MemoryDevice image(80 << 20);
  SeededRandom random(3);
  image.bytes.replace(0, 40 << 20, random.Bytes(40 << 20));
  ExtentSet mapped;
  mapped.Add({0, 40 << 20});
  const auto pack = [&] {
    std::string all;
    EXPECT_EQ(CompressImage(image, mapped,
                            {.kind = Compression::kXz, .level = 0, .kept = directory / "kept"},
                            [&all](std::string_view bytes) {
                              all += bytes;
                              return absl::OkStatus();
                            }),
              absl::OkStatus());
    return all;
  };
  const auto blocks = [&] {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(directory / "kept")) {
      files.push_back(entry.path());
    }
    return files;
  };
  const std::string first = pack();
  const size_t made = blocks().size();
  EXPECT_GE(made, 3u);
  EXPECT_EQ(pack(), first) << "from what is kept";
  EXPECT_EQ(blocks().size(), made);

  // What says that it was taken: a block with another body and a sum that fits is in the result.
  for (const std::filesystem::path& block : blocks()) {
    std::string bytes = ReadFile(block, 64 << 20).value();
    bytes.back() ^= 1;
    ASSERT_EQ(WriteFileAtomically(block, bytes), absl::OkStatus());
  }
  EXPECT_EQ(pack(), first) << "damaged ones are made anew";
  for (const std::filesystem::path& block : blocks()) {
    std::string rest = ReadFile(block, 64 << 20).value().substr(32);
    rest.back() ^= 1;
    ASSERT_EQ(WriteFileAtomically(block, StrCat(Sha256(rest).view(), rest)), absl::OkStatus());
  }
  EXPECT_NE(pack(), first) << "they are taken, not made";
}

INSTANTIATE_TEST_SUITE_P(Kinds, CompressTest,
                         ::testing::Values(Compression::kZstd, Compression::kXz),
                         [](const auto& kind) {
                           return kind.param == Compression::kZstd ? "Zstd" : "Xz";
                         });

TEST(ImageReaderTest, WhatIsNoImageIsNamed) {
  const TemporaryDirectory directory;
  ASSERT_EQ(WriteFileAtomically(directory / "a.gz", "\x1f\x8b" + std::string(1000, 'x')),
            absl::OkStatus());
  ASSERT_EQ(WriteFileAtomically(directory / "tiny", "x"), absl::OkStatus());

  EXPECT_THAT(std::string(MessageOf(ImageReader::Open(directory / "a.gz").status())),
              HasSubstr("unpack it first"));
  EXPECT_FALSE(ImageReader::Open(directory / "tiny").ok());
  EXPECT_TRUE(absl::IsNotFound(ImageReader::Open(directory / "none").status()));
}

}  // namespace
}  // namespace bramble::sdcard
