// SPDX-License-Identifier: Apache-2.0
#include "api/problem.h"
#include "controller/coordinator_fixture.h"

namespace bramble::controller {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FloatingIpsTest : public CoordinatorTest {
 protected:
  void SetUp() override {
    AddNode("pi-1");
    AddNode("pi-2");
    AddImage();
    RunOn("pi-1", "web");
    RunOn("pi-2", "spare");
  }
  void RunOn(const std::string& node, const std::string& name) {
    CreateContainer request = Request(name);
    request.spec.placement.node = node;
    ASSERT_TRUE(Create(request).ok());
    ReportAll(node);
  }
  struct How {
    std::string address;
    bool move = false;
    bool force = false;
  };
  absl::StatusOr<Written> Attach(const std::string& container, How how) {
    api::AttachFloatingIp request{.container = container, .move = how.move, .force = how.force};
    request.address = Ipv4::Parse(how.address).value_or(Ipv4());
    return Do([&](WriteDone done) {
      coordinator_->floating_ips().Attach(Admin(), request, {}, std::move(done));
    });
  }
  absl::StatusOr<Written> Detach(const std::string& address, bool force = false) {
    return Do([&](WriteDone done) {
      coordinator_->floating_ips().Detach(Admin(), {.address = address, .force = force}, {},
                                          std::move(done));
    });
  }
  std::vector<std::string> Announced(const std::string& node, const std::string& container) {
    std::vector<std::string> texts;
    for (const Ipv4 address :
         nodes_[node].containers.at(Container(container).id.str()).floating_addresses) {
      texts.push_back(address.str());
    }
    return texts;
  }
};

TEST_F(FloatingIpsTest, IsAttachedAnnouncedAndDetached) {
  const absl::StatusOr<Written> written = Attach("web", {});
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_THAT(*written->object, HasSubstr("\"address\":\"172.16.0.225\""));
  EXPECT_THAT(Announced("pi-1", "web"), ElementsAre("172.16.0.225"));
  EXPECT_THAT(Container("web").status.floating_ips, ElementsAre("172.16.0.225"));

  ASSERT_TRUE(Detach("172.16.0.225").ok());

  EXPECT_THAT(Announced("pi-1", "web"), IsEmpty());
  EXPECT_EQ(Detach("172.16.0.225").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(FloatingIpsTest, AttachingDoesNotChangeTheContainersGeneration) {
  const uint64_t before = Container("web").generation;
  ASSERT_TRUE(Attach("web", {}).ok());
  EXPECT_EQ(Container("web").generation, before) << "its node must not start it anew";
}

TEST_F(FloatingIpsTest, MovesBetweenNodesInOneStep) {
  ASSERT_TRUE(Attach("web", {"172.16.0.230"}).ok());
  const absl::Status twice = Attach("spare", {"172.16.0.230"}).status();
  EXPECT_EQ(api::ProblemOf(twice).code, api::kCodeFloatingAttached);
  EXPECT_THAT(std::string(twice.message()), HasSubstr("container \"web\""));

  ASSERT_TRUE(Attach("spare", {.address = "172.16.0.230", .move = true}).ok());

  EXPECT_THAT(Announced("pi-1", "web"), IsEmpty());
  EXPECT_THAT(Announced("pi-2", "spare"), ElementsAre("172.16.0.230"));
  EXPECT_EQ(coordinator_->state().floating_ips().Find("172.16.0.230")->api.node, "pi-2");
}

TEST_F(FloatingIpsTest, AttachedTwiceIsRefused) {
  ASSERT_TRUE(Attach("web", {"172.16.0.230"}).ok());
  EXPECT_EQ(api::ProblemOf(Attach("web", {.address = "172.16.0.230", .move = true}).status()).code,
            api::kCodeFloatingAttached);
}

TEST_F(FloatingIpsTest, AHolderOnASilentNodeKeepsItUnlessAPersonSaysThatItIsOff) {
  ASSERT_TRUE(Attach("web", {"172.16.0.230"}).ok());
  Disconnect("pi-1");
  PassWithHeartbeats(std::chrono::seconds(40), {"pi-2"});

  EXPECT_EQ(
      api::ProblemOf(Attach("spare", {.address = "172.16.0.230", .move = true}).status()).code,
      api::kCodeHolderSilent);
  EXPECT_EQ(api::ProblemOf(Detach("172.16.0.230").status()).code, api::kCodeHolderSilent);
  ASSERT_TRUE(Attach("spare", {.address = "172.16.0.230", .move = true, .force = true}).ok());
  EXPECT_THAT(Announced("pi-2", "spare"), ElementsAre("172.16.0.230"));
}

TEST_F(FloatingIpsTest, WhatIsNoFloatingIpIsRefused) {
  for (const auto& [address, code] : {std::pair("172.16.0.64", api::kCodeAddressOutside),
                                      std::pair("10.0.0.1", api::kCodeAddressOutside),
                                      std::pair("172.16.0.255", api::kCodeAddressUnusable),
                                      std::pair("172.16.0.1", api::kCodeAddressUnusable)}) {
    EXPECT_EQ(api::ProblemOf(Attach("web", {address}).status()).code, code) << address;
  }
  EXPECT_EQ(Attach("nobody", {}).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(FloatingIpsTest, AnExhaustedPoolNamesWhoHoldsWhat) {
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(Attach("web", {}).ok()) << i;
  }
  const absl::Status status = Attach("spare", {}).status();
  EXPECT_EQ(api::ProblemOf(status).code, api::kCodePoolExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("172.16.0.225 by container \"web\""));
}

TEST_F(FloatingIpsTest, GoesWithItsContainer) {
  ASSERT_TRUE(Attach("web", {}).ok());
  ASSERT_TRUE(Delete("web").ok());
  ReportAll("pi-1");
  EXPECT_EQ(coordinator_->state().floating_ips().size(), 0u);
  EXPECT_TRUE(Attach("spare", {"172.16.0.225"}).ok());
}

TEST_F(FloatingIpsTest, EveryNewContainerGetsOneWhereTheProjectSaysSo) {
  const auto written = Do([&](WriteDone done) {
    coordinator_->network().ChangeProject(Admin(), "default", true, {}, std::move(done));
  });
  ASSERT_TRUE(written.ok()) << written.status();
  RunOn("pi-1", "pupil");
  EXPECT_THAT(Announced("pi-1", "pupil"), ElementsAre("172.16.0.225"));
  EXPECT_TRUE(coordinator_->state().floating_ips().Find("172.16.0.225")->api.automatic);
  EXPECT_THAT(Container("web").status.floating_ips, IsEmpty());
}

TEST_F(FloatingIpsTest, SurvivesARestartOfTheController) {
  ASSERT_TRUE(Attach("web", {}).ok());
  Restart();
  Connect("pi-1");
  EXPECT_THAT(Announced("pi-1", "web"), ElementsAre("172.16.0.225"));
  EXPECT_EQ(Attach("spare", {"172.16.0.225"}).status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(FloatingIpsTest, ForwardedPortsAreListedAndConflictsRefused) {
  const auto add = [&](uint16_t port, const std::string& container) {
    return Do([&](WriteDone done) {
      coordinator_->port_forwards().Add(
          Admin(), {.port = port, .container = container, .container_port = 80}, {},
          std::move(done));
    });
  };
  ASSERT_TRUE(add(8080, "web").ok());
  EXPECT_EQ(api::ProblemOf(add(8080, "spare").status()).code, api::kCodePortInUse);
  EXPECT_EQ(api::ProblemOf(add(8443, "web").status()).code, api::kCodePortInUse);
  EXPECT_EQ(add(8081, "nobody").status().code(), absl::StatusCode::kNotFound);
  Pass(std::chrono::seconds(2));
  ASSERT_EQ(network_.applied.back().gateway.forwards.size(), 1u);
  EXPECT_EQ(network_.applied.back().gateway.forwards[0].address.str(),
            Container("web").status.address);
  network_.now.uplink.clear();
  EXPECT_EQ(add(8082, "web").status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace bramble::controller
