// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/disk/bmap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "sdcard-image/disk/memory_device.h"

namespace bramble::sdcard {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

Bmap SampleMap(MemoryDevice& device) {
  ExtentSet mapped;
  mapped.Add({0, 512});
  mapped.Add({4'190'000, 8'000'000});
  return MakeBmap(device, mapped).value();
}

TEST(BmapTest, WhatIsWrittenIsReadBack) {
  MemoryDevice device(16 << 20, 'x');
  const Bmap bmap = SampleMap(device);

  const Bmap again = ParseBmap(FormatBmap(bmap), "a.bmap").value();

  EXPECT_EQ(again.image_bytes, 16u << 20);
  EXPECT_EQ(again.mapped_bytes(), bmap.mapped_bytes());
  ASSERT_THAT(again.ranges, SizeIs(bmap.ranges.size()));
  EXPECT_EQ(again.ranges[0].extent, (Extent{0, 4096}));
  EXPECT_EQ(again.ranges[0].digest, Sha256(std::string(4096, 'x')));
  for (const BmapRange& range : again.ranges) {
    EXPECT_LE(range.extent.size, 4u << 20) << "a changed file costs one erase block";
  }
}

TEST(BmapTest, ADamagedMapIsRefused) {
  MemoryDevice device(16 << 20, 'x');
  const std::string good = FormatBmap(SampleMap(device));
  std::string changed = good;
  changed[changed.find("chksum=\"") + 10] ^= 1;

  EXPECT_THAT(std::string(MessageOf(ParseBmap(changed, "a.bmap").status())),
              HasSubstr("a.bmap: no usable block map: its own checksum"));
  EXPECT_FALSE(ParseBmap(good.substr(0, good.size() / 2), "a.bmap").ok());
  EXPECT_FALSE(ParseBmap("", "a.bmap").ok());
  EXPECT_FALSE(ParseBmap("<html></html>", "a.bmap").ok());
}

TEST(BmapTest, RangesOutsideOrOverlappingAreRefused) {
  const auto with = [](std::string_view ranges) {
    return StrCat("<bmap version=\"1.2\"><ImageSize>8192</ImageSize><BlockSize>4096</BlockSize>",
                  "<BlockMap>", ranges, "</BlockMap></bmap>");
  };
  EXPECT_TRUE(ParseBmap(with("<Range> 0-1 </Range>"), "m").ok());
  EXPECT_FALSE(ParseBmap(with("<Range> 0-2 </Range>"), "m").ok());
  EXPECT_FALSE(ParseBmap(with("<Range> 1-0 </Range>"), "m").ok());
  EXPECT_FALSE(ParseBmap(with("<Range> 0 </Range><Range> 0 </Range>"), "m").ok());
  EXPECT_FALSE(ParseBmap(with("<Range> -1 </Range>"), "m").ok());
  EXPECT_FALSE(ParseBmap(with(""), "m").ok());
}

}  // namespace
}  // namespace bramble::sdcard
