// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/flash/flash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "base/status.h"
#include "sdcard-image/disk/mbr.h"
#include "sdcard-image/flash/faulty_device.h"

namespace bramble::sdcard {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kBytes = 96 << 20;

// An image in memory: data in [0, 1 MiB), [20, 30 MiB) and the last MiB, holes between.
class FakeImage : public ImageReader {
 public:
  FakeImage() : bytes_(kBytes, '\0') {
    SeededRandom random(7);
    for (const auto& [at, size] : {std::pair<uint64_t, uint64_t>{0, 1}, {20, 10}, {95, 1}}) {
      bytes_.replace(at << 20, size << 20, random.Bytes(size << 20));
    }
    Mbr mbr;
    mbr.disk_id = 1;
    mbr.partitions[0] = {.type = kMbrFat32, .start_sector = 8192, .sectors = 8192};
    bytes_.replace(0, kMbrBytes, FormatMbr(mbr));
  }

  std::optional<uint64_t> size() const override { return kBytes; }
  absl::StatusOr<std::optional<ImagePiece>> Next() override {
    if (at_ >= end_) {
      return std::optional<ImagePiece>();
    }
    ImagePiece piece{.offset = at_, .size = 1 << 20};
    const std::string bytes = bytes_.substr(at_, piece.size);
    piece.hole = bytes.find_first_not_of('\0') == std::string::npos;
    if (!piece.hole) {
      piece.bytes = std::make_shared<const std::string>(bytes);
    }
    at_ += piece.size;
    return std::optional(std::move(piece));
  }

  std::string& bytes() { return bytes_; }
  void CutShortAt(uint64_t end) { end_ = end; }
  void Rewind() { at_ = 0; }

 private:
  std::string bytes_;
  uint64_t at_ = 0;
  uint64_t end_ = kBytes;
};

Bmap MapOf(FakeImage& image) {
  MemoryDevice device(kBytes);
  device.bytes = image.bytes();
  ExtentSet mapped;
  mapped.Add({0, 1 << 20});
  mapped.Add({20 << 20, 10 << 20});
  mapped.Add({40 << 20, 1 << 20});  // zeros that must be written
  mapped.Add({95 << 20, 1 << 20});
  return MakeBmap(device, mapped).value();
}

class FlashTest : public ::testing::Test {
 protected:
  FlashResult FlashOne(ByteDevice& device, FlashOptions options = {}) {
    image_.Rewind();
    auto results = Flash(image_, {&device}, options);
    EXPECT_TRUE(results.ok()) << results.status();
    return results.ok() ? results->front() : FlashResult{};
  }

  FakeImage image_;
  FaultyDevice card_{kBytes, 'o'};
};

TEST_F(FlashTest, WritesWhatIsInUseAndNothingElse) {
  const FlashResult result = FlashOne(card_);

  EXPECT_EQ(result.status, absl::OkStatus());
  EXPECT_EQ(result.written_bytes, (12 << 20) - kMbrBytes);
  EXPECT_EQ(card_.bytes.substr(0, 1 << 20), image_.bytes().substr(0, 1 << 20));
  EXPECT_EQ(card_.bytes.substr(20 << 20, 10 << 20), image_.bytes().substr(20 << 20, 10 << 20));
  EXPECT_EQ(card_.bytes[50 << 20], 'o') << "a hole is left alone";
}

TEST_F(FlashTest, WithABlockMapItsZerosAreWritten) {
  const Bmap bmap = MapOf(image_);
  const FlashResult result = FlashOne(card_, {.bmap = &bmap});

  EXPECT_EQ(result.status, absl::OkStatus());
  EXPECT_EQ(card_.bytes.substr(40 << 20, 1 << 20), std::string(1 << 20, '\0'));
  EXPECT_EQ(card_.bytes[42 << 20], 'o');
}

TEST_F(FlashTest, SeveralCardsFromOneReading) {
  FaultyDevice second(kBytes, 'o');
  FaultyDevice broken(kBytes, 'o');
  broken.writes_until_gone = 3;

  const auto results = Flash(image_, {&card_, &broken, &second}, {});

  ASSERT_TRUE(results.ok());
  EXPECT_EQ((*results)[0].status, absl::OkStatus());
  EXPECT_TRUE(absl::IsUnavailable((*results)[1].status)) << "it disappeared";
  EXPECT_EQ((*results)[2].status, absl::OkStatus());
  EXPECT_EQ(card_.bytes, second.bytes);
}

TEST_F(FlashTest, ALostWriteIsFoundAndDoneAgain) {
  card_.loses_at = 25 << 20;
  card_.loses_times = 2;

  const FlashResult result = FlashOne(card_);

  EXPECT_EQ(result.status, absl::OkStatus());
  EXPECT_EQ(result.retried_bytes, 2u << 20);
  EXPECT_EQ(card_.bytes.substr(20 << 20, 10 << 20), image_.bytes().substr(20 << 20, 10 << 20));
}

TEST_F(FlashTest, ACardThatKeepsLosingWritesFailsAndStaysUnbootable) {
  card_.loses_at = 25 << 20;
  card_.loses_times = 1000;

  const FlashResult result = FlashOne(card_);

  EXPECT_TRUE(absl::IsDataLoss(result.status));
  EXPECT_THAT(std::string(MessageOf(result.status)), HasSubstr("does not read back"));
  EXPECT_FALSE(ParseMbr(card_.bytes.substr(0, kMbrBytes)).ok()) << "the table goes last";
}

TEST_F(FlashTest, ReadErrorsFailTheCard) {
  card_.unreadable_from = 90 << 20;
  EXPECT_TRUE(absl::IsDataLoss(FlashOne(card_).status));
}

TEST_F(FlashTest, ACardThatReturnsShortFailsAndStaysUnbootable) {
  card_.short_from = 25 << 20;
  const FlashResult result = FlashOne(card_);
  EXPECT_TRUE(absl::IsOutOfRange(result.status)) << result.status;
  EXPECT_FALSE(ParseMbr(card_.bytes.substr(0, kMbrBytes)).ok());
}

TEST_F(FlashTest, ACardThatDisappearsAtAnyWriteFailsAndStaysUnbootable) {
  int writes = 0;
  for (; writes < 100; ++writes) {
    FaultyDevice card(kBytes, 'o');
    card.writes_until_gone = writes;
    if (FlashOne(card).status.ok()) {
      break;
    }
    EXPECT_FALSE(ParseMbr(card.bytes.substr(0, kMbrBytes)).ok()) << "gone after " << writes;
  }
  EXPECT_GT(writes, 5) << "it takes some writes to make a card";
  EXPECT_LT(writes, 100);
}

TEST_F(FlashTest, ProgressCountsWhatCardsHaveBeenThrough) {
  const Bmap bmap = MapOf(image_);
  std::vector<FlashProgress> seen;
  FlashOptions options{.bmap = &bmap};
  options.progress = [&seen](const FlashProgress& progress) { seen.push_back(progress); };

  EXPECT_EQ(FlashOne(card_, options).status, absl::OkStatus());

  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.front().done, 0u) << "nothing is written yet";
  EXPECT_EQ(seen.back().done, bmap.mapped_bytes() - kMbrBytes) << "the table goes last";
  EXPECT_EQ(seen.back().total, bmap.mapped_bytes());
}

TEST(ProgressTextTest, SaysHowMuchHowFastAndHowLongStill) {
  const FlashProgress half{.done = 512 << 20, .total = 1024 << 20};
  EXPECT_EQ(ProgressText(half, std::chrono::seconds(20), 1),
            "512MiB of 1GiB, 50 %, 26.8 MB/s, 20 s left");
  EXPECT_EQ(ProgressText(half, std::chrono::seconds(20), 3),
            "3 cards: 512MiB of 1GiB, 50 %, 26.8 MB/s, 20 s left");
  EXPECT_EQ(ProgressText({.done = 0, .total = 1 << 20}, std::chrono::seconds(1), 1),
            "0B of 1MiB, 0 %, 0.0 MB/s");
  EXPECT_EQ(ProgressText({.done = 1 << 20}, std::chrono::seconds(1), 1), "1MiB, 1.0 MB/s");
}

TEST_F(FlashTest, DeltaWritesOnlyThePiecesThatDiffer) {
  ASSERT_EQ(FlashOne(card_).status, absl::OkStatus());
  image_.bytes()[21 << 20] ^= 1;

  const FlashResult result = FlashOne(card_, {.delta = true});

  EXPECT_EQ(result.status, absl::OkStatus());
  EXPECT_EQ(result.written_bytes, 1u << 20);
  EXPECT_EQ(result.same_bytes, (11 << 20) - kMbrBytes);
  EXPECT_EQ(card_.bytes.substr(20 << 20, 10 << 20), image_.bytes().substr(20 << 20, 10 << 20));
}

TEST_F(FlashTest, WhatWasInterruptedGoesOnByDelta) {
  image_.CutShortAt(28 << 20);
  image_.Rewind();
  (void)Flash(image_, {&card_}, {});
  image_.CutShortAt(kBytes);

  const FlashResult result = FlashOne(card_, {.delta = true});

  EXPECT_EQ(result.status, absl::OkStatus());
  EXPECT_EQ(result.written_bytes, 3u << 20) << "two of ten MiB, and the last one";
  EXPECT_TRUE(ParseMbr(card_.bytes.substr(0, kMbrBytes)).ok());
}

TEST_F(FlashTest, AMapOfAnotherImageIsRefused) {
  const Bmap bmap = MapOf(image_);
  image_.bytes()[20 << 20] ^= 1;

  const absl::Status status = Flash(image_, {&card_}, {.bmap = &bmap}).status();

  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("another image"));
  EXPECT_FALSE(ParseMbr(card_.bytes.substr(0, kMbrBytes)).ok());
}

TEST_F(FlashTest, AnImageCutShortIsRefused) {
  const Bmap bmap = MapOf(image_);
  image_.CutShortAt(50 << 20);

  EXPECT_TRUE(absl::IsDataLoss(Flash(image_, {&card_}, {.bmap = &bmap}).status()));
}

TEST_F(FlashTest, ACardTooSmallIsRefused) {
  FaultyDevice small(32 << 20);
  EXPECT_TRUE(absl::IsOutOfRange(Flash(image_, {&small}, {}).status()));
}

TEST_F(FlashTest, EachCardIsFinishedBeforeItsTable) {
  FlashOptions options;
  options.finish = [](ByteDevice& device, size_t index, std::string_view table) {
    EXPECT_EQ(index, 0u);
    EXPECT_TRUE(ParseMbr(table).ok());
    EXPECT_FALSE(ParseMbr(device.Read(0, kMbrBytes).value()).ok());
    return device.WriteAt(60 << 20, "its name");
  };
  EXPECT_EQ(FlashOne(card_, options).status, absl::OkStatus());
  EXPECT_EQ(card_.bytes.substr(60 << 20, 8), "its name");
}

}  // namespace
}  // namespace bramble::sdcard
