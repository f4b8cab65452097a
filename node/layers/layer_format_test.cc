// SPDX-License-Identifier: Apache-2.0
#include "node/layers/layer_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"

namespace bramble::node {
namespace {

LayerEntry File(const std::string& path, uint64_t size) {
  return {.kind = LayerKind::kFile,
          .path = path,
          .mode = 0640,
          .uid = 1000,
          .gid = 65534,
          .mtime_s = -5,
          .mtime_ns = 999'999'999,
          .size = size,
          .attributes = {{"user.a", std::string("\0\xff", 2)}, {"user.b", ""}}};
}

std::string Encode(const std::vector<LayerEntry>& entries) {
  std::string stream;
  LayerEncoder encoder([&](std::string_view bytes) {
    stream += bytes;
    return absl::OkStatus();
  });
  EXPECT_TRUE(encoder.Begin().ok());
  for (const LayerEntry& entry : entries) {
    EXPECT_TRUE(encoder.Entry(entry).ok());
    if (entry.kind == LayerKind::kFile && entry.size > 0) {
      EXPECT_TRUE(encoder.Data(entry.size - 1, "x").ok());
    }
  }
  EXPECT_TRUE(encoder.End().ok());
  return stream;
}

// Everything up to the end, read in pieces of `piece` bytes.
absl::StatusOr<std::vector<LayerDecoder::Item>> Decode(std::string stream, size_t piece = 7) {
  size_t at = 0;
  LayerDecoder decoder([&](char* to, size_t most) -> absl::StatusOr<size_t> {
    const size_t size = std::min({most, piece, stream.size() - at});
    stream.copy(to, size, at);
    at += size;
    return size;
  });
  if (absl::Status begun = decoder.Begin(); !begun.ok()) {
    return begun;
  }
  std::vector<LayerDecoder::Item> items;
  while (true) {
    absl::StatusOr<LayerDecoder::Item> item = decoder.Next();
    if (!item.ok()) {
      return item.status();
    }
    items.push_back(*std::move(item));
    if (std::holds_alternative<LayerTotals>(items.back())) {
      return items;
    }
  }
}

TEST(LayerFormatTest, WhatIsWrittenIsRead) {
  const LayerEntry root{.kind = LayerKind::kDirectory, .mode = 0755};
  LayerEntry directory{.kind = LayerKind::kDirectory, .path = "a b/\n", .mode = 01777};
  directory.opaque = true;
  const LayerEntry link{.kind = LayerKind::kSymlink, .path = "l", .target = "/../../etc/passwd"};
  const LayerEntry hard{.kind = LayerKind::kHardLink, .path = "h", .target = "a b/f"};
  const std::vector<LayerEntry> entries = {root, directory, File("f", 1), link, hard};

  const auto items = Decode(Encode(entries));
  ASSERT_TRUE(items.ok()) << items.status();
  std::vector<LayerEntry> read;
  for (const LayerDecoder::Item& item : *items) {
    if (const auto* entry = std::get_if<LayerEntry>(&item)) {
      read.push_back(*entry);
    }
  }
  EXPECT_EQ(read, entries);
  const auto& totals = std::get<LayerTotals>(items->back());
  EXPECT_EQ(totals.entries, 5u);
  EXPECT_EQ(totals.bytes, 1u);
  EXPECT_EQ(totals.sha256.size(), 64u);
}

TEST(LayerFormatTest, NoByteCanBeChangedOrMissingUnnoticed) {
  const std::string good = Encode({{.kind = LayerKind::kDirectory}, File("f", 3)});
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x20);
    EXPECT_FALSE(Decode(bad).ok()) << "byte " << i;
    EXPECT_FALSE(Decode(good.substr(0, i)).ok()) << "cut at " << i;
  }
  EXPECT_EQ(Decode(good.substr(0, good.size() - 1)).status().code(), absl::StatusCode::kDataLoss);
}

TEST(LayerFormatTest, PathsThatLeadOutAreRefused) {
  for (const std::string& path :
       {std::string("/etc"), std::string("../x"), std::string("a/../b"), std::string("a//b"),
        std::string("a/"), std::string("./a"), std::string("a\0b", 3), std::string("")}) {
    EXPECT_EQ(Decode(Encode({File(path, 0)})).status().code(), absl::StatusCode::kInvalidArgument)
        << path;
    const LayerEntry link{.kind = LayerKind::kHardLink, .path = "l", .target = path};
    EXPECT_EQ(Decode(Encode({link})).status().code(), absl::StatusCode::kInvalidArgument) << path;
  }
}

// Found by tests/fuzz/layer_format_fuzz.cc.
TEST(LayerFormatTest, ContentsBeyondTheLargestFileAreRefused) {
  for (const uint64_t offset :
       {UINT64_MAX, static_cast<uint64_t>(INT64_MAX) + 1, static_cast<uint64_t>(INT64_MAX)}) {
    std::string stream;
    LayerEncoder encoder([&stream](std::string_view bytes) {
      stream += bytes;
      return absl::OkStatus();
    });
    ASSERT_TRUE(encoder.Begin().ok());
    ASSERT_TRUE(encoder.Entry(File("f", INT64_MAX)).ok());
    ASSERT_TRUE(encoder.Data(offset, "x").ok());
    ASSERT_TRUE(encoder.End().ok());
    EXPECT_EQ(Decode(stream).status().code(), absl::StatusCode::kInvalidArgument) << offset;
  }
}

TEST(LayerFormatTest, RandomBytesAreRefusedAndNothingElseHappens) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    SeededRandom random(seed);
    EXPECT_FALSE(Decode(std::string(kLayerMagic) + random.Bytes(random.Below(300)), 64).ok());
  }
}

}  // namespace
}  // namespace bramble::node
