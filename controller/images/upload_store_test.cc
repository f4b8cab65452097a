// SPDX-License-Identifier: Apache-2.0
#include "controller/images/upload_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "api/problem.h"
#include "base/file.h"
#include "base/run_on_loop.h"
#include "base/status.h"
#include "base/temporary_directory.h"

namespace bramble::controller {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// Real files; the clock is the machine's, as files' times are, and moves on when it is told to.
class LaterClock : public SystemClock {
 public:
  WallTime Wall() const override { return SystemClock::Wall() + later; }
  std::chrono::hours later{0};
};

class UploadStoreTest : public ::testing::Test {
 protected:
  UploadStoreTest() { Open(); }

  // As after a restart of the program.
  void Open(Bytes quota = {0}) {
    uploads_.reset();
    blobs_.reset();
    Settle();
    blobs_ = BlobStore::Open({.root = root_.path(), .max_blob = {kGiB}, .quota = quota}, loop_,
                             lane_, random_, Logger())
                 .value();
    uploads_ =
        UploadStore::Open(
            {.root = root_.path()},
            {.blobs = *blobs_, .lane = lane_, .random = random_, .clock = clock_, .log = Logger()})
            .value();
  }
  static asio::awaitable<void> Pass(Lane* lane) {
    auto nothing = [] {};
    (void)co_await lane->Run(nothing);
  }
  void Settle() { RunOnLoop(loop_, Pass(&lane_)); }

  absl::StatusOr<UploadAbout> Begin(int64_t size, std::string expected = "",
                                    std::string owner = "ann") {
    return RunOnLoop(loop_, uploads_->Begin(std::move(owner), size, std::move(expected)));
  }
  static asio::awaitable<absl::StatusOr<UploadAbout>> Put(UploadStore* uploads, std::string id,
                                                          int64_t first, std::string bytes) {
    BRAMBLE_CO_ASSIGN_OR_RETURN(const auto append, uploads->BeginAppend("ann", id, first));
    for (size_t at = 0; at < bytes.size(); at += 100'000) {
      std::string piece = bytes.substr(at, 100'000);
      const absl::Status written = co_await append->Write(std::move(piece));
      BRAMBLE_CO_RETURN_IF_ERROR(written);
    }
    co_return co_await append->End();
  }
  absl::StatusOr<UploadAbout> Append(const std::string& id, int64_t first, std::string bytes) {
    return RunOnLoop(loop_, Put(uploads_.get(), id, first, std::move(bytes)));
  }
  absl::StatusOr<StoredBlob> Finish(const std::string& id, std::string expected = "") {
    return RunOnLoop(loop_, uploads_->Finish("ann", id, std::move(expected)));
  }
  size_t Files() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(root_.path() / "uploads"), fs::directory_iterator()));
  }

  TemporaryDirectory root_;
  asio::io_context loop_;
  Lane lane_{"uploads"};
  SeededRandom random_{1};
  LaterClock clock_;
  std::unique_ptr<BlobStore> blobs_;
  std::unique_ptr<UploadStore> uploads_;
};

std::string Bytes3M() {
  std::string bytes;
  for (int i = 0; bytes.size() < 3'300'000; ++i) {
    bytes += StrCat("line ", i, "\n");
  }
  return bytes;
}

TEST_F(UploadStoreTest, WhatComesInPartsOverRestartsIsOneBlob) {
  const std::string bytes = Bytes3M();
  const int64_t size = static_cast<int64_t>(bytes.size());
  const std::string digest = Sha256(bytes).Hex();
  const std::string id = Begin(size, digest)->id;

  ASSERT_EQ(Append(id, 0, bytes.substr(0, 1'234'567))->offset, 1'234'567);
  Open();
  EXPECT_EQ(uploads_->Get("ann", id)->offset, 1'234'567);
  EXPECT_EQ(Begin(size, digest)->id, id) << "whoever begins the same again goes on with it";
  ASSERT_EQ(Append(id, 1'234'567, bytes.substr(1'234'567, 1))->offset, 1'234'568);
  ASSERT_EQ(Append(id, 1'234'568, bytes.substr(1'234'568))->offset, size);

  const auto blob = Finish(id);
  ASSERT_TRUE(blob.ok()) << blob.status();
  EXPECT_EQ(blob->digest, digest);
  EXPECT_EQ(blobs_->total_bytes(), size);
  EXPECT_TRUE(absl::IsNotFound(uploads_->Get("ann", id).status()));
  Settle();
  EXPECT_EQ(Files(), 0u);
  const auto open = RunOnLoop(loop_, blobs_->OpenVerified(digest));
  ASSERT_TRUE(open.ok()) << open.status();
  std::string stored(bytes.size(), '\0');
  ASSERT_EQ(::pread(open->fd->get(), stored.data(), stored.size(), 0), size);
  EXPECT_EQ(stored, bytes);
  const auto pieces = RunOnLoop(loop_, blobs_->PiecesOf(digest));
  ASSERT_TRUE(pieces.ok()) << pieces.status();
  ASSERT_EQ((*pieces)->size(), 4u);
  EXPECT_EQ((**pieces)[1], Sha256(std::string_view(bytes).substr(kPieceBytes, kPieceBytes)));
  EXPECT_EQ((**pieces)[3], Sha256(std::string_view(bytes).substr(3 * kPieceBytes)));
}

TEST_F(UploadStoreTest, AnotherOffsetIsRefusedAndSaysWhereItGoesOn) {
  const std::string id = Begin(10)->id;
  ASSERT_TRUE(Append(id, 0, "abcde").ok());
  for (const int64_t wrong : {0, 4, 6, 10}) {
    const absl::Status refused = Append(id, wrong, "x").status();
    EXPECT_EQ(api::ProblemOf(refused).code, "wrong_offset") << wrong;
    EXPECT_THAT(std::string(refused.message()), HasSubstr("at byte 5"));
  }
  EXPECT_TRUE(absl::IsInvalidArgument(Append(id, 5, "fghijk").status())) << "beyond its size";
  EXPECT_TRUE(absl::IsFailedPrecondition(Finish(id).status())) << "not whole";
  const int64_t offset = uploads_->Get("ann", id)->offset;
  ASSERT_EQ(offset, 5);
  ASSERT_TRUE(Append(id, 5, "fghij").ok());
  EXPECT_EQ(Finish(id)->digest, Sha256("abcdefghij").Hex());
}

TEST_F(UploadStoreTest, ALaterRequestTakesTheUploadOver) {
  const std::string id = Begin(6)->id;
  auto first = uploads_->BeginAppend("ann", id, 0);
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(RunOnLoop(loop_, (*first)->Write("old")).ok());
  ASSERT_EQ(Append(id, 0, "new")->offset, 3);

  EXPECT_TRUE(absl::IsAborted(RunOnLoop(loop_, (*first)->Write("old"))));
  EXPECT_TRUE(absl::IsAborted(RunOnLoop(loop_, (*first)->End()).status()));
  ASSERT_TRUE(Append(id, 3, "est").ok());
  EXPECT_EQ(Finish(id)->digest, Sha256("newest").Hex());
}

TEST_F(UploadStoreTest, OtherBytesThanSaidEndItAndLeaveNothing) {
  const std::string id = Begin(3, std::string(64, '0'))->id;
  ASSERT_TRUE(Append(id, 0, "abc").ok());

  EXPECT_TRUE(absl::IsInvalidArgument(Finish(id).status()));

  EXPECT_TRUE(absl::IsNotFound(uploads_->Get("ann", id).status()));
  Settle();
  EXPECT_EQ(Files(), 0u);
  EXPECT_EQ(blobs_->total_bytes(), 0);
  EXPECT_TRUE(blobs_->Reserve(0, kGiB).ok()) << "its room is free again";
}

TEST_F(UploadStoreTest, AnotherPersonsUploadIsAsUnknown) {
  const std::string id = Begin(3, Sha256("abc").Hex())->id;
  EXPECT_TRUE(absl::IsNotFound(uploads_->Get("bob", id).status()));
  EXPECT_TRUE(absl::IsNotFound(uploads_->BeginAppend("bob", id, 0).status()));
  EXPECT_TRUE(absl::IsNotFound(uploads_->Remove("bob", id)));
  EXPECT_TRUE(absl::IsNotFound(RunOnLoop(loop_, uploads_->Finish("bob", id, "")).status()));
  EXPECT_TRUE(uploads_->List("bob").empty());
  EXPECT_NE(Begin(3, Sha256("abc").Hex(), "bob")->id, id);
  EXPECT_TRUE(absl::IsNotFound(uploads_->Get("ann", "../../etc/passwd").status()));
}

TEST_F(UploadStoreTest, TheirNumberIsLimitedAndOldOnesGo) {
  for (size_t i = 0; i < kMaxUploads; ++i) {
    ASSERT_TRUE(Begin(10).ok()) << i;
  }
  const absl::Status refused = Begin(10).status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("32 are under way"));
  EXPECT_TRUE(uploads_->Remove("ann", uploads_->List("ann")[0].id).ok());
  EXPECT_TRUE(Begin(10).ok());

  clock_.later += std::chrono::hours(25);
  EXPECT_TRUE(Begin(10).ok()) << "nobody went on with the others for a day";
  EXPECT_EQ(uploads_->size(), 1u);
  Settle();
  EXPECT_EQ(Files(), 2u);
}

TEST_F(UploadStoreTest, WhatIsTooOldOrBrokenGoesAtTheStart) {
  const std::string kept = Begin(10)->id;
  std::ofstream(root_.path() / "uploads" / "zzz.json") << "{";
  std::ofstream(root_.path() / "uploads" / "zzz.data") << "x";
  std::ofstream(root_.path() / "uploads" / "orphan.data") << "x";
  Open();
  EXPECT_EQ(uploads_->size(), 1u);
  EXPECT_TRUE(uploads_->Get("ann", kept).ok());
  EXPECT_EQ(Files(), 2u);
  clock_.later += std::chrono::hours(25);
  Open();
  EXPECT_EQ(uploads_->size(), 0u);
  EXPECT_EQ(Files(), 0u);
}

TEST_F(UploadStoreTest, TheRoomForAllOfItIsAskedForWhenItBegins) {
  Open(/*quota=*/{1000});
  blobs_->SetWhatTakesRoom([] { return "debian:12 (900 B)"; });
  ASSERT_TRUE(Begin(900).ok());
  const absl::Status refused = Begin(101).status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_THAT(std::string(refused.message()),
              testing::AllOf(HasSubstr("limits.images"), HasSubstr("debian:12 (900 B)"),
                             HasSubstr("bramble image prune")));
  EXPECT_TRUE(Begin(100).ok());
  Open(/*quota=*/{1000});
  EXPECT_TRUE(absl::IsResourceExhausted(Begin(1).status())) << "also after a restart";
  EXPECT_TRUE(absl::IsResourceExhausted(Begin(2 * kGiB).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Begin(0).status()));
}

}  // namespace
}  // namespace bramble::controller
