// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/temporary_directory.h"
#include "node/health/gpio.h"

namespace bramble::node {
namespace {

using ::testing::IsEmpty;

// What real chips are called is shown by the boards that boot (tests/boot): this machine has none.
TEST(GpiodChipsTest, TakesOnlyWhatTheKernelSaysIsAChip) {
  const TemporaryDirectory dev;
  for (const char* name : {"gpiochip0", "gpiochip", "gpiochip1x", "gpiochip-1", "null"}) {
    ASSERT_TRUE(WriteFileAtomically(dev.path() / name, "").ok());
  }
  std::filesystem::create_directory_symlink(dev.path() / "gpiochip0", dev.path() / "gpiochip4");
  std::filesystem::create_symlink("/dev/null", dev.path() / "gpiochip5");
  EXPECT_THAT(GpiodChips(dev.path()).List(), IsEmpty());
}

TEST(GpiodChipsTest, AMachineWithoutDevicesHasNone) {
  EXPECT_THAT(GpiodChips("/nonexistent").List(), IsEmpty());
}

}  // namespace
}  // namespace bramble::node
