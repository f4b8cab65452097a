// SPDX-License-Identifier: Apache-2.0
#include "base/units.h"

#include <gtest/gtest.h>

namespace bramble {
namespace {

TEST(UnitsTest, ReadsSizesAsPeopleWriteThem) {
  EXPECT_EQ(ParseBytes("64MiB")->count, 64 * kMiB);
  EXPECT_EQ(ParseBytes("1.5GiB")->count, 3 * kGiB / 2);
  EXPECT_EQ(ParseBytes("500MB")->count, 500'000'000);
  EXPECT_EQ(ParseBytes("4096")->count, 4096);
  EXPECT_EQ(ParseBytes("2G")->count, 2 * kGiB);
}

TEST(UnitsTest, RefusesWhatIsNoSizeToTheLastCharacter) {
  for (const char* text :
       {"", "MiB", "-1", "1e9", "1 GiB", "64MiBx", "nan", "1.2.3", "99999999TiB"}) {
    EXPECT_FALSE(ParseBytes(text).ok()) << text;
  }
}

TEST(UnitsTest, ReadsAndWritesCpu) {
  EXPECT_EQ(ParseCpu("0.25")->count, 250);
  EXPECT_EQ(ParseCpu("250m")->count, 250);
  EXPECT_EQ(ParseCpu("4")->count, 4000);
  EXPECT_FALSE(ParseCpu("four").ok());
  EXPECT_FALSE(ParseCpu("9999999999").ok());
  EXPECT_EQ(ToString(MilliCpu{250}), "0.25");
  EXPECT_EQ(ToString(MilliCpu{4000}), "4");
}

TEST(UnitsTest, WritesSizesShort) {
  EXPECT_EQ(ToString(Bytes{256 * kMiB}), "256MiB");
  EXPECT_EQ(ToString(Bytes{3 * kGiB / 2}), "1.5GiB");
  EXPECT_EQ(ToString(Bytes{12}), "12B");
}

}  // namespace
}  // namespace bramble
