// SPDX-License-Identifier: Apache-2.0
#include "controller/images/blob_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "base/hash.h"
#include "base/run_on_loop.h"
#include "base/status.h"

namespace bramble::controller {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class BlobStoreTest : public ::testing::Test {
 protected:
  BlobStoreTest() {
    std::string pattern = fs::temp_directory_path() / "bramble-blobs-XXXXXX";
    root_ = ::mkdtemp(pattern.data());
  }
  ~BlobStoreTest() override { fs::remove_all(root_); }

  std::unique_ptr<BlobStore> Open(Bytes max = {kGiB}, Bytes quota = {0}) {
    auto store = BlobStore::Open({.root = root_, .max_blob = max, .quota = quota}, loop_, lane_,
                                 random_, Logger());
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  static asio::awaitable<absl::StatusOr<StoredBlob>> PutAll(BlobStore* store, std::string bytes,
                                                            std::string expected) {
    BRAMBLE_CO_ASSIGN_OR_RETURN(auto upload, store->Begin());
    for (size_t at = 0; at < bytes.size(); at += 1000) {
      std::string piece = bytes.substr(at, 1000);
      BRAMBLE_CO_RETURN_IF_ERROR(co_await upload->Write(std::move(piece)));
    }
    co_return co_await upload->Finish(std::move(expected));
  }
  absl::StatusOr<StoredBlob> Put(BlobStore& store, std::string bytes, std::string expected = "") {
    return RunOnLoop(loop_, PutAll(&store, std::move(bytes), std::move(expected)));
  }
  absl::StatusOr<OpenBlob> Get(BlobStore& store, std::string digest) {
    return RunOnLoop(loop_, store.OpenVerified(std::move(digest)));
  }
  fs::path FileOf(const std::string& digest) { return BlobPaths{.root = root_}.FileOf(digest); }

  fs::path root_;
  asio::io_context loop_;
  Lane lane_{"blobs"};
  SeededRandom random_{1};
};

TEST_F(BlobStoreTest, WhatWasPutIsThereUnderItsDigestAlsoAfterARestart) {
  const std::string bytes(3'000'001, 'x');
  const std::string digest = Sha256(bytes).Hex();
  {
    const auto store = Open();
    const auto blob = Put(*store, bytes);
    ASSERT_TRUE(blob.ok()) << blob.status();
    EXPECT_EQ(blob->digest, digest);
    EXPECT_EQ(blob->size.count, 3'000'001);
  }
  const auto again = Open();
  EXPECT_EQ(again->total_bytes(), 3'000'001);
  const auto open = Get(*again, digest);
  ASSERT_TRUE(open.ok()) << open.status();
  EXPECT_EQ(open->size, bytes.size());
}

TEST_F(BlobStoreTest, AWrongDigestIsRefusedAndLeavesNothing) {
  const auto store = Open();

  const auto blob = Put(*store, "abc", std::string(64, '0'));

  EXPECT_TRUE(absl::IsInvalidArgument(blob.status()));
  RunOnLoop(loop_, [](Lane* lane) -> asio::awaitable<void> {
    auto nothing = [] {};
    (void)co_await lane->Run(nothing);
  }(&lane_));
  EXPECT_TRUE(fs::is_empty(root_ / "incoming"));
  EXPECT_EQ(store->total_bytes(), 0);
}

TEST_F(BlobStoreTest, TooMuchIsRefusedByNameAndWhatIsThereStays) {
  const auto store = Open(/*max=*/{2000}, /*quota=*/{2500});
  ASSERT_TRUE(Put(*store, std::string(1500, 'a')).ok());

  const auto over_quota = Put(*store, std::string(1500, 'b'));
  const auto too_large = Put(*store, std::string(2001, 'c'));

  EXPECT_TRUE(absl::IsResourceExhausted(over_quota.status()));
  EXPECT_THAT(std::string(over_quota.status().message()), HasSubstr("limits.images"));
  EXPECT_TRUE(absl::IsResourceExhausted(too_large.status()));
  EXPECT_TRUE(Put(*store, std::string(900, 'd')).ok()) << "a refused upload gives its room back";
}

TEST_F(BlobStoreTest, ADamagedBlobIsNotServedAndCanBeSentAgain) {
  const std::string digest = Sha256("good").Hex();
  { ASSERT_TRUE(Put(*Open(), "good").ok()); }
  std::ofstream(FileOf(digest)) << "evil";

  const auto store = Open();
  EXPECT_TRUE(absl::IsDataLoss(Get(*store, digest).status()));
  EXPECT_TRUE(absl::IsNotFound(Get(*store, digest).status()));
  ASSERT_TRUE(Put(*store, "good").ok());
  EXPECT_TRUE(Get(*store, digest).ok());
}

TEST_F(BlobStoreTest, UnusedBlobsGoAndUsedAndPinnedOnesStay) {
  const auto store = Open();
  const std::string used = Put(*store, "used")->digest;
  const std::string unused = Put(*store, "unused")->digest;
  const auto pinned = Put(*store, "pinned");

  EXPECT_EQ(RunOnLoop(loop_, store->RemoveUnused({used})), 1u);

  EXPECT_TRUE(Get(*store, used).ok());
  EXPECT_TRUE(Get(*store, pinned->digest).ok());
  EXPECT_TRUE(absl::IsNotFound(Get(*store, unused).status()));
  EXPECT_FALSE(fs::exists(FileOf(unused)));
}

TEST_F(BlobStoreTest, WhatAnInterruptedUploadLeftIsRemovedAtTheStart) {
  { Open(); }
  std::ofstream(root_ / "incoming" / "half") << "half";

  const auto store = Open();

  EXPECT_TRUE(fs::is_empty(root_ / "incoming"));
}

TEST_F(BlobStoreTest, APathIsNoDigest) {
  const auto store = Open();
  EXPECT_TRUE(absl::IsInvalidArgument(Get(*store, "../../etc/passwd").status()));
}

}  // namespace
}  // namespace bramble::controller
