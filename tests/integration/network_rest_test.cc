// SPDX-License-Identifier: Apache-2.0
// The network's part of the API, on a real controller that serves no network of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/controller_process.h"

namespace bramble::testing {
namespace {

using ::testing::HasSubstr;

class NetworkRestTest : public ::testing::Test {
 protected:
  void SetUp() override {
    controller_.Start();
    admin_ = std::make_unique<Person>(controller_, controller_.Token());
  }

  ControllerProcess controller_;
  std::unique_ptr<Person> admin_;
};

TEST_F(NetworkRestTest, TheNetworkIsShownPlannedAndChanged) {
  const Answer network = admin_->Get("/v1/network");
  EXPECT_EQ(network.status, 200);
  EXPECT_EQ(network.Text("prefix"), "172.16.0.0/24");
  EXPECT_EQ(network.Text("ranges.nodes"), "172.16.0.11-172.16.0.63");

  const Answer plan = admin_->Post("/v1/network/plan", {{"prefix", "10.1.0.0/22"}});
  EXPECT_EQ(plan.status, 200) << plan.text;
  EXPECT_THAT(plan.text, HasSubstr(R"("kind":"controller")"));
  EXPECT_EQ(admin_->Get("/v1/network").Text("prefix"), "172.16.0.0/24");

  const Answer changed =
      admin_->Patch("/v1/network", {{"prefix", "10.1.0.0/22"}, {"guests", true}});
  EXPECT_EQ(changed.status, 200) << changed.text;
  EXPECT_EQ(changed.Text("prefix"), "10.1.0.0/22");
  controller_.Kill();
  controller_.Start();
  Person again(controller_, controller_.Token());
  EXPECT_EQ(again.Get("/v1/network").Text("prefix"), "10.1.0.0/22");
  EXPECT_EQ(again.Get("/v1/network").Text("guests"), "true");
}

TEST_F(NetworkRestTest, BadInputIsRefusedWithItsCode) {
  const auto code = [&](const Answer& answer) {
    return std::to_string(answer.status) + " " + answer.Text("code");
  };
  EXPECT_EQ(
      code(admin_->Patch("/v1/network", {{"ranges", {{"guests", "172.16.0.190-172.16.0.223"}}}})),
      "400 ranges_overlap");
  EXPECT_EQ(code(admin_->Patch("/v1/network", {{"gateway", "172.16.0.9"}})),
            "400 invalid_argument");
  EXPECT_EQ(code(admin_->Patch("/v1/network", {{"guests", true}}, {{"If-Match", "\"99\""}})),
            "412 stale_generation");
  EXPECT_EQ(code(admin_->Post("/v1/addresses", {{"name", "a"}, {"address", "172.16.0.255"}})),
            "400 address_not_usable");
  EXPECT_EQ(code(admin_->Post("/v1/addresses", {{"name", "a"}, {"address", "10.0.0.1"}})),
            "400 address_outside_prefix");
  EXPECT_EQ(code(admin_->Post("/v1/addresses", {{"name", "Not A Label"}})), "400 invalid_argument");
  EXPECT_EQ(code(admin_->Post("/v1/floating-ips", {{"container", "nobody"}})), "404 not_found");
  EXPECT_EQ(code(admin_->Post("/v1/port-forwards", {{"port", 70000}, {"container", "web"}})),
            "400 invalid_argument");
  for (const char* rule : {"in tcp 0", "in tcp 70000", "in tcp 90-80", "sideways tcp 1"}) {
    EXPECT_EQ(code(admin_->Patch("/v1/security-groups/web", {{"add", json::array{rule}}})),
              "400 invalid_argument")
        << rule;
  }
}

TEST_F(NetworkRestTest, GroupsAndReservationsAreMadeListedAndDeleted) {
  EXPECT_THAT(admin_->Get("/v1/security-groups").text, HasSubstr(R"("name":"ssh")"));
  const Answer made =
      admin_->Post("/v1/security-groups",
                   {{"name", "db"}, {"rules", json::array{"in tcp 5432 from group web"}}});
  EXPECT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(admin_->Patch("/v1/security-groups/db", {{"add", json::array{"in icmp"}}}).status, 200);
  EXPECT_EQ(admin_->Get("/v1/security-groups/db").Text("generation"), "2");
  EXPECT_EQ(admin_->Delete("/v1/security-groups/db").status, 204);

  EXPECT_EQ(admin_->Post("/v1/addresses", {{"name", "printer"}}).Text("address"), "172.16.0.2");
  EXPECT_THAT(admin_->Get("/v1/addresses?filter=state=reserved").text, HasSubstr("172.16.0.2"));
  EXPECT_EQ(admin_->Delete("/v1/addresses/printer").status, 204);
  EXPECT_EQ(admin_->Patch("/v1/projects/default", {{"auto_floating_ip", true}}).status, 200);
  EXPECT_EQ(admin_->Get("/v1/network/findings").status, 200);
}

}  // namespace
}  // namespace bramble::testing
