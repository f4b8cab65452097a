// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/disk/extents.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"
#include "base/temporary_directory.h"

namespace bramble::sdcard {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ExtentSetTest, JoinsWhatTouchesOrOverlaps) {
  ExtentSet set;
  set.Add({100, 50});
  set.Add({300, 10});
  set.Add({150, 20});
  set.Add({0, 10});
  set.Add({305, 10});
  set.Add({160, 140});
  set.Add({5, 0});

  EXPECT_THAT(set.extents(), ElementsAre(Extent{0, 10}, Extent{100, 215}));
  EXPECT_EQ(set.bytes(), 225u);
}

TEST(ExtentSetTest, GrowsToWholeBlocksButNotBeyondTheEnd) {
  ExtentSet set;
  set.Add({4095, 2});
  set.Add({20000, 100});

  EXPECT_THAT(set.Aligned(4096, 20100).extents(),
              ElementsAre(Extent{0, 8192}, Extent{16384, 3716}));
}

TEST(ExtentSetTest, IsCutAtEveryMultiple) {
  ExtentSet set;
  set.Add({3, 10});

  EXPECT_THAT(set.CutAt(5), ElementsAre(Extent{3, 2}, Extent{5, 5}, Extent{10, 3}));
}

TEST(ExtentSetTest, SaysWhatItTouches) {
  ExtentSet set;
  set.Add({10, 10});

  EXPECT_TRUE(set.Touches({19, 1}));
  EXPECT_FALSE(set.Touches({20, 5}));
  EXPECT_FALSE(set.Touches({0, 10}));
}

TEST(DataExtentsTest, FindsWhatIsNoHole) {
  const TemporaryDirectory directory;
  const Fd fd = OpenFile(directory / "sparse", O_RDWR | O_CREAT).value();
  ASSERT_EQ(::ftruncate(fd.get(), 64 << 20), 0);
  EXPECT_THAT(DataExtents(fd.get(), 64 << 20)->extents(), IsEmpty());

  ASSERT_EQ(::pwrite(fd.get(), "x", 1, 8 << 20), 1);
  const ExtentSet data = DataExtents(fd.get(), 64 << 20).value();

  EXPECT_TRUE(data.Touches({8 << 20, 1}));
  EXPECT_LE(data.bytes(), 1u << 20);
}

}  // namespace
}  // namespace bramble::sdcard
