// SPDX-License-Identifier: Apache-2.0
#include "api/problem.h"
#include "controller/coordinator_fixture.h"

namespace bramble::controller {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class SecurityGroupsTest : public CoordinatorTest {
 protected:
  void SetUp() override {
    AddNode("pi-1");
    AddNode("pi-2");
    AddImage();
  }
  absl::StatusOr<Written> CreateGroup(const std::string& name,
                                      const std::vector<std::string>& rules) {
    api::SecurityGroup group{.name = name};
    for (const std::string& rule : rules) {
      group.rules.push_back(api::ParseSecurityRule(rule).value());
    }
    return Do([&](WriteDone done) {
      coordinator_->security_groups().Create(Admin(), group, {}, std::move(done));
    });
  }
  absl::StatusOr<Written> Alter(const std::string& name, SecurityGroupService::Update update) {
    return Do([&](WriteDone done) {
      coordinator_->security_groups().Alter(Admin(), {.name = name}, update, {}, std::move(done));
    });
  }
  absl::StatusOr<Written> DeleteGroup(const std::string& name) {
    return Do([&](WriteDone done) {
      coordinator_->security_groups().Delete(Admin(), {.name = name}, {}, std::move(done));
    });
  }
  void RunOn(const std::string& node, const std::string& name,
             const std::vector<std::string>& groups) {
    CreateContainer request = Request(name);
    request.spec.placement.node = node;
    request.spec.groups = groups;
    ASSERT_TRUE(Create(request).ok());
    ReportAll(node);
    Pass(std::chrono::seconds(2));  // what is told together was told
  }
  const api::NodeContainer& Told(const std::string& node, const std::string& container) {
    return nodes_[node].containers.at(Container(container).id.str());
  }
  std::vector<std::string> PolicyNames(const std::string& node) {
    std::vector<std::string> names;
    for (const api::FirewallPolicy& policy : nodes_[node].network.value().policies) {
      names.push_back(policy.name);
    }
    return names;
  }
  static std::vector<api::SecurityRule> Rules(const std::vector<std::string>& texts) {
    std::vector<api::SecurityRule> rules;
    for (const std::string& text : texts) {
      rules.push_back(api::ParseSecurityRule(text).value());
    }
    return rules;
  }
};

TEST_F(SecurityGroupsTest, TheShippedGroupsAreThereAndStay) {
  EXPECT_EQ(coordinator_->state().security_groups().size(), 3u);
  EXPECT_EQ(DeleteGroup("web").status().code(), absl::StatusCode::kFailedPrecondition);
  Restart();
  EXPECT_EQ(coordinator_->state().security_groups().size(), 3u);
}

TEST_F(SecurityGroupsTest, ANodeIsSentThePoliciesOfItsOwnContainersAndTheSetsTheyNeed) {
  RunOn("pi-1", "shop", {"web", "default"});
  RunOn("pi-2", "db", {});

  EXPECT_THAT(Told("pi-1", "shop").firewall.value().policies,
              ElementsAre("g/default/web", "g/default/default"));
  EXPECT_THAT(Told("pi-2", "db").firewall.value().policies, ElementsAre("g/default/default"));
  EXPECT_THAT(PolicyNames("pi-1"), ElementsAre("g/default/default", "g/default/web"));
  EXPECT_THAT(PolicyNames("pi-2"), ElementsAre("g/default/default"));
  const api::AddressSet& project = nodes_["pi-2"].network->sets.at(0);
  EXPECT_EQ(project.name, "p/default");
  EXPECT_THAT(project.addresses, SizeIs(2));
}

TEST_F(SecurityGroupsTest, AChangedRuleReachesTheNodesThatNeedItAndNoOthers) {
  RunOn("pi-1", "shop", {"web"});
  const api::Version before = nodes_["pi-1"].network->version;
  const api::Version other = nodes_["pi-2"].network->version;

  ASSERT_TRUE(Alter("web", {.add = Rules({"in tcp 8080"})}).ok());

  EXPECT_GT(nodes_["pi-1"].network->version, before);
  EXPECT_THAT(nodes_["pi-1"].network->policies.at(0).rules, SizeIs(3));
  EXPECT_EQ(nodes_["pi-2"].network->version, other);
}

TEST_F(SecurityGroupsTest, ChangesThatComeThickAreToldTogetherAndWithinASecond) {
  RunOn("pi-1", "shop", {"web"});
  for (int port = 1000; port < 1020; ++port) {
    auto [answer, done] = Expect();
    coordinator_->security_groups().Alter(Admin(), {.name = "web"},
                                          {.add = Rules({"in tcp " + std::to_string(port)})}, {},
                                          std::move(done));
  }
  Pass(std::chrono::seconds(1));
  EXPECT_THAT(nodes_["pi-1"].network->policies.at(0).rules, SizeIs(22));
}

TEST_F(SecurityGroupsTest, ARuleForWhatGoesOutRestrictsTheGroupsContainers) {
  RunOn("pi-1", "shop", {"web"});
  EXPECT_FALSE(Told("pi-1", "shop").firewall->restrict_out);
  ASSERT_TRUE(Alter("web", {.add = Rules({"out udp 53 to 172.16.0.1"})}).ok());
  EXPECT_TRUE(Told("pi-1", "shop").firewall->restrict_out);
}

TEST_F(SecurityGroupsTest, WhatCannotBeIsRefused) {
  EXPECT_EQ(CreateGroup("web", {}).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(CreateGroup("db", {"in any from group nobody"}).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(Alter("web", {.add = Rules({"in tcp 80"})}).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Alter("web", {.remove = Rules({"in tcp 81"})}).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(Alter("nobody", {}).status().code(), absl::StatusCode::kNotFound);
  CreateContainer request = Request("shop");
  request.spec.groups = {"nobody"};
  EXPECT_THAT(std::string(Create(request).status().message()),
              HasSubstr("security group \"nobody\": not found"));
}

TEST_F(SecurityGroupsTest, TooManyRulesAreRefusedWithTheLimit) {
  std::vector<api::SecurityRule> rules;
  for (uint32_t i = 0; i <= api::kMaxRulesPerGroup; ++i) {
    rules.push_back({.prefix = Ipv4Prefix(Ipv4(0x0a000000u + i), 32)});
  }
  const absl::Status status = Alter("web", {.rules = rules}).status();
  EXPECT_EQ(api::ProblemOf(status).code, api::kCodeTooManyRules);
  EXPECT_THAT(std::string(status.message()), HasSubstr("10000"));
  rules.pop_back();
  EXPECT_TRUE(Alter("web", {.rules = rules}).ok()) << "10,000 are handled";
}

TEST_F(SecurityGroupsTest, AGroupInUseStays) {
  ASSERT_TRUE(CreateGroup("db", {"in tcp 5432 from group web"}).ok());
  ASSERT_TRUE(CreateGroup("app", {"in any from group db"}).ok());
  EXPECT_EQ(api::ProblemOf(DeleteGroup("db").status()).code, api::kCodeGroupInUse);
  ASSERT_TRUE(DeleteGroup("app").ok());
  RunOn("pi-1", "store", {"db"});
  EXPECT_THAT(std::string(DeleteGroup("db").status().message()), HasSubstr("\"store\""));
  ASSERT_TRUE(Delete("store").ok());
  ReportAll("pi-1");
  EXPECT_TRUE(DeleteGroup("db").ok());
}

TEST_F(SecurityGroupsTest, AStrangerSeesAndChangesNothing) {
  EXPECT_EQ(coordinator_->security_groups().Get(Stranger(), {.name = "web"}).status().code(),
            absl::StatusCode::kNotFound);
  const auto written = Do([&](WriteDone done) {
    coordinator_->security_groups().Alter(Stranger(), {.name = "web"}, {}, {}, std::move(done));
  });
  EXPECT_EQ(written.status().code(), absl::StatusCode::kNotFound);
}

TEST_F(SecurityGroupsTest, TheImagesLabelOpensItsPorts) {
  const auto written = Do([&](WriteDone done) {
    coordinator_->images().Add(
        Admin(),
        {.name = "nginx",
         .variant = {.architecture = "amd64", .digest = Sha256("nginx").Hex(), .size = {1000}},
         .labels = {{"ports", "80,443"}}},
        {}, std::move(done));
  });
  ASSERT_TRUE(written.ok()) << written.status();
  CreateContainer request = Request("shop");
  request.spec.image = "nginx";
  request.spec.placement.node = "pi-1";
  ASSERT_TRUE(Create(request).ok());
  EXPECT_THAT(Told("pi-1", "shop").firewall->rules, SizeIs(2));
}

}  // namespace
}  // namespace bramble::controller
