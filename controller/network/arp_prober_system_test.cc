// SPDX-License-Identifier: Apache-2.0
// The prober on a real interface, in a network namespace of its own.  Needs root.
#include <gtest/gtest.h>
#include <sched.h>

#include <cstdlib>

#include "base/run_on_loop.h"
#include "controller/network/arp_prober.h"

namespace bramble::controller {
namespace {

class ArpProberSystemTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << "this needs root";
    ASSERT_EQ(std::system("ip link add ours type veth peer name theirs &&"
                          " ip address add 10.9.0.5/24 dev theirs &&"
                          " ip link set theirs up && ip link set ours up"),
              0);
  }

  static asio::awaitable<bool> Ask(asio::io_context* loop, AddressProber* prober,
                                   std::string address) {
    Event answered(*loop);
    bool in_use = false;
    prober->Probe(std::move(address), [&](bool answer) {
      in_use = answer;
      answered.Set();
    });
    co_await answered.Wait();
    co_return in_use;
  }

  asio::io_context loop_;
};

TEST_F(ArpProberSystemTest, TellsAnAddressInUseFromAFreeOne) {
  auto prober = ArpProber::Open(loop_, "ours", Logger());
  ASSERT_TRUE(prober.ok()) << prober.status();

  EXPECT_TRUE(RunOnLoop(loop_, Ask(&loop_, prober->get(), "10.9.0.5")));
  EXPECT_FALSE(RunOnLoop(loop_, Ask(&loop_, prober->get(), "10.9.0.6")));
}

TEST_F(ArpProberSystemTest, AnInterfaceThatIsNotThereIsNamed) {
  const auto prober = ArpProber::Open(loop_, "nosuch0", Logger());
  EXPECT_TRUE(absl::IsNotFound(prober.status()));
}

}  // namespace
}  // namespace bramble::controller
