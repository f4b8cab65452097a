// SPDX-License-Identifier: Apache-2.0
#include "node/service/memory_trim.h"

#include <gtest/gtest.h>

#include <cinttypes>
#include <cstdio>

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

TEST(MemoryTrimTest, CodeThatDoesNotRunIsNotHeldAndComesBackWhenItIsCalled) {
  const int64_t before = MappedFileKib();
  ASSERT_GT(before, 0);

  TrimMemory();

  EXPECT_LT(MappedFileKib(), before);
  EXPECT_TRUE(ReadFile("/proc/self/maps", 1 << 20).ok());
}

}  // namespace
}  // namespace bramble::node
