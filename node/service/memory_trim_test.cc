// SPDX-License-Identifier: Apache-2.0
#include "node/service/memory_trim.h"

#include <gtest/gtest.h>

#include <cinttypes>
#include <cstdio>
#include <sstream>

#include "base/file.h"
#include "base/strings.h"

namespace bramble::node {
namespace {

// What of the files that this process has mapped is in memory for it, in KiB.
int64_t MappedFileKib() {
  const std::string status = ReadFile("/proc/self/status", 1 << 16).value();
  const size_t at = status.find("RssFile:");
  int64_t kib = -1;
  if (at != std::string::npos) {
    std::sscanf(status.c_str() + at, "RssFile: %" SCNd64, &kib);
  }
  return kib;
}

// A program of 32 bits under qemu-user.
bool ShowsAnothersAddresses() {
  std::istringstream smaps(ReadFile("/proc/self/smaps", 1 << 20).value());
  std::string line;
  while (sizeof(void*) == 4 && std::getline(smaps, line)) {
    const size_t dash = line.find('-');
    if (dash > 8 && dash < line.find_first_of(": ")) {
      return true;
    }
  }
  return false;
}

TEST(MemoryTrimTest, CodeThatDoesNotRunIsNotHeldAndComesBackWhenItIsCalled) {
  if (ShowsAnothersAddresses()) {
    GTEST_SKIP() << "qemu-user shows its own address space, of 64 bits";
  }
  const int64_t before = MappedFileKib();
  ASSERT_GT(before, 0);

  TrimMemory();

  EXPECT_LT(MappedFileKib(), before);
  EXPECT_TRUE(ReadFile("/proc/self/maps", 1 << 20).ok());
}

}  // namespace
}  // namespace bramble::node
