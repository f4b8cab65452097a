// SPDX-License-Identifier: Apache-2.0
#include "controller/network/address_pool.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bramble::controller {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr BootTime kNow{std::chrono::seconds(1000)};

class AddressPoolTest : public testing::Test {
 protected:
  void FillUp() {
    for (const uint32_t address : pool_.ToProbe(kNow)) {
      pool_.OnProbed(address, false, kNow);
    }
  }

  std::set<uint32_t> owned_;
  AddressPool pool_{{100, 103}, [this](uint32_t address) { return owned_.contains(address); }};
};

TEST_F(AddressPoolTest, HandsOutOnlyWhatWasProbedAndNobodyUses) {
  EXPECT_EQ(pool_.Take(), std::nullopt) << "nothing was probed yet";
  EXPECT_THAT(pool_.ToProbe(kNow), ElementsAre(100, 101, 102, 103));
  EXPECT_THAT(pool_.ToProbe(kNow), IsEmpty()) << "each is asked about once";
  pool_.OnProbed(100, true, kNow);
  pool_.OnProbed(101, false, kNow);

  EXPECT_EQ(pool_.Take(), 101u);
  EXPECT_EQ(pool_.Take(), std::nullopt);
  EXPECT_THAT(pool_.Foreign(), ElementsAre(100));
}

TEST_F(AddressPoolTest, AnAddressGivenBackIsTheLastToBeUsedAgain) {
  FillUp();
  const uint32_t first = pool_.Take().value();
  owned_.insert(first);
  pool_.ToProbe(kNow);
  owned_.erase(first);
  FillUp();

  EXPECT_EQ(pool_.Take(), 101u);
  EXPECT_EQ(pool_.Take(), 102u);
  EXPECT_EQ(pool_.Take(), 103u);
  EXPECT_EQ(pool_.Take(), first);
}

TEST_F(AddressPoolTest, SaysWhenAllAreUsed) {
  FillUp();
  for (int i = 0; i < 4; ++i) {
    owned_.insert(pool_.Take().value());
  }
  EXPECT_THAT(pool_.ToProbe(kNow), IsEmpty());

  EXPECT_TRUE(pool_.Exhausted());
}

TEST_F(AddressPoolTest, AForeignAddressIsAskedAboutAgainLater) {
  for (const uint32_t address : pool_.ToProbe(kNow)) {
    pool_.OnProbed(address, address == 100, kNow);
  }

  EXPECT_THAT(pool_.ToProbe(kNow + std::chrono::minutes(9)), IsEmpty());
  EXPECT_THAT(pool_.ToProbe(kNow + std::chrono::minutes(10)), ElementsAre(100));
}

TEST_F(AddressPoolTest, AnAddressThatBecameOursMeanwhileIsNotHandedOut) {
  FillUp();
  owned_.insert(100);
  pool_.Claim(101);

  EXPECT_EQ(pool_.Take(), 102u);
}

}  // namespace
}  // namespace bramble::controller
