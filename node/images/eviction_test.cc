// SPDX-License-Identifier: Apache-2.0
#include "node/images/eviction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bramble::node {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

EvictionCandidate Image(std::string digest, int used, bool in_use = false, int64_t archive = 10) {
  return {.digest = std::move(digest),
          .tree = {100},
          .archive = {archive},
          .last_used = WallTime(std::chrono::hours(used)),
          .in_use = in_use};
}

TEST(EvictionTest, NothingGoesWhileThereIsRoom) {
  EXPECT_THAT(ChooseEvictions({Image("a", 1)}, {0}), IsEmpty());
}

TEST(EvictionTest, ArchivesGoFirstTheLeastRecentlyUsedBeforeTheOthers) {
  EXPECT_THAT(ChooseEvictions({Image("new", 3), Image("old", 1), Image("used", 2, true)}, {15}),
              ElementsAre(Eviction{"old", true}, Eviction{"used", true}))
      << "the archive of one in use is not in use";
}

TEST(EvictionTest, ThenUnusedImagesAndNoMoreThanNeeded) {
  EXPECT_THAT(ChooseEvictions({Image("c", 3), Image("a", 1), Image("b", 2)}, {131}),
              ElementsAre(Eviction{"a", true}, Eviction{"b", true}, Eviction{"c", true},
                          Eviction{"a", false}, Eviction{"b", false}));
  EXPECT_THAT(ChooseEvictions({Image("b", 2, false, 0), Image("a", 1, false, 0)}, {100}),
              ElementsAre(Eviction{"a", false}));
}

TEST(EvictionTest, AnImageInUseNeverGoes) {
  EXPECT_THAT(ChooseEvictions({Image("a", 1, true, 0), Image("b", 2, false, 0)}, {1'000'000}),
              ElementsAre(Eviction{"b", false}));
}

}  // namespace
}  // namespace bramble::node
