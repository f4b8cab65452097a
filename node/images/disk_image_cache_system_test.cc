// SPDX-License-Identifier: Apache-2.0
// The image cache with the real bramble-unpack, as root.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "base/hash.h"
#include "base/run_on_loop.h"
#include "node/images/archive_testing.h"
#include "node/images/disk_image_cache.h"

namespace bramble::node {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kFirstId = 3'000'000;

class DiskImageCacheTest : public ::testing::Test {
 protected:
  DiskImageCacheTest() {
    std::string pattern = (fs::temp_directory_path() / "bramble-images-XXXXXX").string();
    base_ = ::mkdtemp(pattern.data());
  }
  ~DiskImageCacheTest() override { fs::remove_all(base_); }
  void SetUp() override { ASSERT_EQ(::geteuid(), 0u) << "this test needs root"; }

  DiskImageCache::Options Options() const {
    return {.root = base_ / "images",
            .unpack_program = fs::path(std::getenv("BRAMBLE_BIN")) / "bramble-unpack",
            .ids = {.first = kFirstId},
            .keep_archive_percent = 0};  // however full this machine's disk is
  }
  absl::StatusOr<CachedImage> Add(DiskImageCache& cache, const std::string& digest,
                                  const std::string& archive) {
    std::ofstream(cache.ArchivePath(digest), std::ios::binary) << archive;
    return RunOnLoop(loop_, cache.Add(digest));
  }

  asio::io_context loop_;
  fs::path base_;
  const std::string archive_ = MakeArchive({{"etc", 'd', "", 0755}, {"etc/x", 'f', "hi"}});
  const std::string digest_ = Sha256(archive_).Hex();
};

TEST_F(DiskImageCacheTest, AnImageIsUnpackedOnceAndFoundAgainAfterARestart) {
  {
    DiskImageCache cache(Options(), Logger());
    ASSERT_TRUE(cache.Open().ok());
    EXPECT_TRUE(absl::IsNotFound(cache.Find(digest_).status()));
    const absl::StatusOr<CachedImage> image = Add(cache, digest_, archive_);
    ASSERT_TRUE(image.ok()) << image.status();
    EXPECT_EQ(image->entries, 2);
    EXPECT_EQ(cache.KeptArchive(digest_), cache.ArchivePath(digest_)) << "for neighbours";
    EXPECT_TRUE(RunOnLoop(loop_, cache.Add(digest_)).ok()) << "adding what is there succeeds";
  }
  DiskImageCache cache(Options(), Logger());
  ASSERT_TRUE(cache.Open().ok());
  const absl::StatusOr<CachedImage> image = cache.Find(digest_);
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->ids.first, kFirstId);
  struct stat file {};
  ASSERT_EQ(::stat((image->tree / "etc/x").c_str(), &file), 0);
  EXPECT_EQ(file.st_uid, kFirstId);
}

TEST_F(DiskImageCacheTest, BytesWithAnotherDigestAreRemovedSoThatTheyAreFetchedAnew) {
  DiskImageCache cache(Options(), Logger());
  ASSERT_TRUE(cache.Open().ok());
  EXPECT_TRUE(absl::IsDataLoss(Add(cache, digest_, archive_ + "x").status()));
  EXPECT_FALSE(fs::exists(cache.ArchivePath(digest_)));
  EXPECT_TRUE(Add(cache, digest_, archive_).ok());
}

TEST_F(DiskImageCacheTest, WhatAPowerCutLeftHalfUnpackedIsNotAnImage) {
  {
    DiskImageCache cache(Options(), Logger());
    ASSERT_TRUE(cache.Open().ok());
    cache.ArchivePath(digest_);
  }
  fs::create_directories(Options().root / digest_ / "part" / "etc");
  DiskImageCache cache(Options(), Logger());
  ASSERT_TRUE(cache.Open().ok());
  EXPECT_THAT(cache.List(), ::testing::IsEmpty());
  EXPECT_FALSE(fs::exists(Options().root / digest_ / "part"));
  EXPECT_TRUE(Add(cache, digest_, archive_).ok());
}

TEST_F(DiskImageCacheTest, ADamagedDescriptionMeansFetchingAnew) {
  {
    DiskImageCache cache(Options(), Logger());
    ASSERT_TRUE(cache.Open().ok());
    ASSERT_TRUE(Add(cache, digest_, archive_).ok());
  }
  std::ofstream(Options().root / digest_ / "image.json") << "{";
  DiskImageCache cache(Options(), Logger());
  ASSERT_TRUE(cache.Open().ok());
  EXPECT_THAT(cache.List(), ::testing::IsEmpty());
  EXPECT_TRUE(Add(cache, digest_, archive_).ok());
}

TEST_F(DiskImageCacheTest, WithoutRoomTheArchiveIsNotKept) {
  DiskImageCache::Options options = Options();
  options.keep_archive_percent = 101;
  DiskImageCache cache(options, Logger());
  ASSERT_TRUE(cache.Open().ok());
  ASSERT_TRUE(Add(cache, digest_, archive_).ok());
  EXPECT_EQ(cache.KeptArchive(digest_), std::nullopt);
  EXPECT_FALSE(fs::exists(cache.ArchivePath(digest_)));
}

TEST_F(DiskImageCacheTest, WhenRoomIsNeededArchivesGoThenUnusedImagesAndNoneInUse) {
  const std::string other = MakeArchive({{"b"}});
  const std::string other_digest = Sha256(other).Hex();
  {
    DiskImageCache cache(Options(), Logger());
    ASSERT_TRUE(cache.Open().ok());
    ASSERT_TRUE(Add(cache, digest_, archive_).ok());
    ASSERT_TRUE(Add(cache, other_digest, other).ok());
  }
  DiskImageCache cache(Options(), Logger());  // finds the archives again
  ASSERT_TRUE(cache.Open().ok());
  const std::set<std::string> in_use = {digest_};

  ASSERT_TRUE(RunOnLoop(loop_, cache.Collect(in_use, {0})).ok());
  EXPECT_TRUE(cache.KeptArchive(digest_).has_value()) << "nothing is needed";
  EXPECT_TRUE(cache.KeptArchive(other_digest).has_value());

  ASSERT_TRUE(RunOnLoop(loop_, cache.Collect(in_use, {int64_t{1} << 40})).ok());
  EXPECT_TRUE(cache.Find(digest_).ok());
  EXPECT_TRUE(fs::exists(Options().root / digest_ / "tree" / "etc/x"));
  EXPECT_FALSE(fs::exists(Options().root / digest_ / "archive"));
  EXPECT_EQ(cache.KeptArchive(digest_), std::nullopt);
  EXPECT_FALSE(cache.Find(other_digest).ok());
  EXPECT_FALSE(fs::exists(Options().root / other_digest));
}

TEST_F(DiskImageCacheTest, WhatWasUsedLastIsKeptLongestAlsoOverARestart) {
  const std::string other = MakeArchive({{"b", 'f', "something"}});
  const std::string other_digest = Sha256(other).Hex();
  DiskImageCache::Options options = Options();
  options.keep_archive_percent = 101;
  {
    DiskImageCache cache(options, Logger());
    ASSERT_TRUE(cache.Open().ok());
    ASSERT_TRUE(Add(cache, digest_, archive_).ok());
    ASSERT_TRUE(Add(cache, other_digest, other).ok());
  }
  const struct timespec long_ago[2] = {{1'000'000, 0}, {1'000'000, 0}};
  for (const std::string& digest : {digest_, other_digest}) {
    ASSERT_EQ(::utimensat(AT_FDCWD, (options.root / digest / "image.json").c_str(), long_ago, 0),
              0);
  }
  {
    DiskImageCache cache(options, Logger());
    ASSERT_TRUE(cache.Open().ok());
    cache.NoteUse(digest_);
  }
  DiskImageCache cache(options, Logger());
  ASSERT_TRUE(cache.Open().ok());
  ASSERT_TRUE(RunOnLoop(loop_, cache.Collect({}, {1})).ok());
  EXPECT_TRUE(cache.Find(digest_).ok());
  EXPECT_FALSE(cache.Find(other_digest).ok());
}

}  // namespace
}  // namespace bramble::node
