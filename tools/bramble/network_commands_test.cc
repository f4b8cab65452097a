// SPDX-License-Identifier: Apache-2.0
// What the network's commands ask the controller for and print.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/bramble/session_testing.h"

namespace bramble::cli {
namespace {

using ::testing::HasSubstr;

class NetworkCommandsTest : public ::testing::Test {
 protected:
  // The last request's body.
  json::value Sent() { return json::parse(controller_.requests().back().body); }

  FakeTerminal terminal_;
  FakeController& controller_ = terminal_.controller();
};

TEST_F(NetworkCommandsTest, MisuseIsFoundBeforeAnythingIsAsked) {
  for (const std::vector<std::string>& line : std::vector<std::vector<std::string>>{
           {"network", "change"},
           {"network", "change", "--prefix", "172.16.0.5/24"},
           {"network", "change", "--nodes", "172.16.0.9-172.16.0.3"},
           {"network", "change", "--guests", "perhaps"},
           {"network", "change", "--upstream-dns", "dns.example"},
           {"security-group", "rule", "web", "add", "in", "tcp", "70000"},
           {"security-group", "rule", "web", "add", "in", "tcp", "0"},
           {"security-group", "create", "x", "--rule", "in sctp 1"},
           {"port-forward", "add", "0", "web"},
           {"port-forward", "add", "80", "web:70000"},
           {"floating-ip", "auto", "perhaps"},
           {"container", "run", "web", "--image", "x", "--in", "fast"},
           {"container", "run", "web", "--image", "x", "--no-default-group"}}) {
    EXPECT_EQ(terminal_.Run(line), 2) << line[0] << " " << line[1];
  }
  EXPECT_TRUE(controller_.requests().empty());
}

TEST_F(NetworkCommandsTest, RunNamesItsGroupsBesideTheDefaultAndItsBandwidth) {
  ASSERT_EQ(terminal_.Run({"container", "run", "web", "--image", "debian", "--group", "web", "--in",
                           "10M", "--out", "500K", "--no-wait"}),
            0)
      << terminal_.err();
  EXPECT_EQ(json::parse(controller_.requests()[0].body), json::parse(R"({"name":"web",
      "image":"debian","groups":["default","web"],
      "bandwidth":{"in_bps":10000000,"out_bps":500000}})"));
}

}  // namespace
}  // namespace bramble::cli
