// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/cluster.h"
#include "api/flavor.h"
#include "api/image.h"
#include "api/node.h"
#include "api/operation.h"
#include "api/problem.h"
#include "api/token.h"

namespace bramble::api {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(NodeCodecTest, ANodeGoesToJsonAndBack) {
  const Node node{.id = NodeId::Trusted("n1"),
                  .name = NodeName::Trusted("pi-1"),
                  .generation = 3,
                  .state = NodeState::kSuspect,
                  .reason = "silent for 31 s",
                  .code = "123456",
                  .cordoned = true,
                  .drain = DrainState::kDraining,
                  .drain_deadline = WallTime(std::chrono::seconds(9)),
                  .pool = "lab",
                  .labels = {{"disk", "ssd"}},
                  .address = "172.16.0.11",
                  .inventory = {.architecture = "arm64",
                                .also_runs = {"armhf"},
                                .model = "Raspberry Pi 4",
                                .macs = {"dc:a6:32:00:00:01"},
                                .cgroup_layout = "v2",
                                .gpio_chips = {{"gpiochip0", "pinctrl-bcm2711", 58}},
                                .capacity = {.cpu = {4000}, .memory = {kGiB}}},
                  .conditions = {{"no-lsm", "warning", "no AppArmor"}},
                  .allocated = {.cpu = {1000}, .memory = {256 * kMiB}},
                  .container_count = 1,
                  .images = {std::string(64, 'b')},
                  .last_seen_at = WallTime(std::chrono::seconds(8))};

  const Node copy = NodeFromJson(ToJson(node)).value();

  EXPECT_EQ(ToJson(copy), ToJson(node));
  EXPECT_EQ(copy.inventory, node.inventory);
  EXPECT_EQ(copy.conditions, node.conditions);
}

TEST(ImageCodecTest, AnImageGoesToJsonAndBack) {
  const Image image{.id = ImageId::Trusted("i1"),
                    .name = "debian",
                    .tag = "12",
                    .project = ProjectName::Trusted("default"),
                    .variants = {{"arm64", std::string(64, 'c'), {12345}}},
                    .labels = {{"ports", "80"}},
                    .last_used_at = WallTime(std::chrono::seconds(5))};
  EXPECT_EQ(ToJson(ImageFromJson(ToJson(image)).value()), ToJson(image));
}

TEST(ImageCodecTest, RefusesNamesThatCouldLeaveADirectory) {
  EXPECT_EQ(ParseImageReference("debian")->tag, "latest");
  EXPECT_EQ(ParseImageReference("debian:12")->tag, "12");
  for (const char* bad : {"", "..", "a/b", "../x:1", "a:", "a:..", "A", "a:b:c", "a\n"}) {
    EXPECT_FALSE(ParseImageReference(bad).ok()) << bad;
  }
  EXPECT_TRUE(CheckDigest(std::string(64, 'a')).ok());
  EXPECT_FALSE(CheckDigest(std::string(64, 'A')).ok());
  EXPECT_FALSE(CheckDigest("../../etc/passwd").ok());
}

TEST(FlavorCodecTest, ShipsTheFiveOfTheDesign) {
  const std::vector<Flavor> flavors = BuiltinFlavors();
  ASSERT_EQ(flavors.size(), 5u);
  EXPECT_EQ(flavors[0].name.str(), "nano");
  EXPECT_EQ(flavors[2].resources, (Resources{.cpu = {1000}, .memory = {256 * kMiB}}));
  for (const Flavor& flavor : flavors) {
    EXPECT_EQ(FlavorFromJson(ToJson(flavor), "flavor", UnknownKeys::kRefuse).value(), flavor);
  }
}

TEST(JoinTokenTest, GoesToTextAndBackAndRefusesDamageWithoutShowingTheSecret) {
  const JoinToken token{.controller_key_sha256 = std::string(32, '\x7f'),
                        .id = TokenId::Trusted("t1"),
                        .secret = "0123456789abcdef",
                        .addresses = {"172.16.0.1:8444"}};
  const std::string text = FormatJoinToken(token);
  EXPECT_THAT(text, ::testing::StartsWith("brm1."));

  const JoinToken copy = ParseJoinToken(text + "\n").value();
  EXPECT_EQ(copy.secret, token.secret);
  EXPECT_EQ(copy.controller_key_sha256, token.controller_key_sha256);
  EXPECT_EQ(copy.addresses, token.addresses);

  for (const std::string& bad :
       {std::string(), text.substr(5), text.substr(0, text.size() / 2), text + "!",
        "brm2" + text.substr(4), std::string("brm1.") + std::string(4000, 'a')}) {
    const absl::Status status = ParseJoinToken(bad).status();
    EXPECT_FALSE(status.ok()) << bad;
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr(token.secret)));
    EXPECT_THAT(std::string(status.message()), HasSubstr("bramble token create"));
  }
}

TEST(OperationCodecTest, OperationsAndEventsGoToJsonAndBack) {
  const Operation operation{.id = OperationId::Trusted("o1"),
                            .kind = "container.create",
                            .object = {"container", "c1", "web", "default"},
                            .state = OperationState::kFailed,
                            .percent = 40,
                            .message = "m",
                            .error_code = "resource_exhausted",
                            .error = "no room",
                            .result = json::object{{"a", 1}},
                            .created_by = "user:admin"};
  EXPECT_EQ(ToJson(OperationFromJson(ToJson(operation)).value()), ToJson(operation));
  const Event event{.revision = 9,
                    .type = "container.created",
                    .object = operation.object,
                    .actor = "user:admin",
                    .message = "m",
                    .data = json::object{{"b", 2}}};
  EXPECT_EQ(ToJson(EventFromJson(ToJson(event)).value()), ToJson(event));
}

TEST(OperationCodecTest, AnEventIsEncodedAsItsJsonIsSerialized) {
  Event event{.revision = 9,
              .time = WallTime(std::chrono::milliseconds(1'700'000'000'123)),
              .type = "container.created",
              .object = {"container", "c1", "web", "default"},
              .actor = "user:\"ad\\min\"",
              .message = "tab\t, line\n, \x7f, \xc3\xa9 and \x01"};
  EXPECT_EQ(Encode(event), json::serialize(ToJson(event)));
  event.data = json::object{{"b", 2}, {"c", "d"}};
  EXPECT_EQ(Encode(event), json::serialize(ToJson(event)));
}

TEST(ProblemTest, EveryStatusHasAnHttpNumberAndComesBack) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "what, where, why");
    const Problem problem = ProblemOf(status);
    EXPECT_GE(problem.status, 400);
    const absl::Status back = StatusOf(ProblemFromJson(ToJson(problem)).value());
    EXPECT_EQ(back.code(), status.code()) << problem.code;
    EXPECT_EQ(back.message(), status.message());
  }
  EXPECT_EQ(ProblemOf(WithCode(absl::NotFoundError("x"), "no_such_image")).code, "no_such_image");
}

TEST(ClusterCodecTest, AClusterGoesToJsonAndBack) {
  const Cluster cluster{.id = ClusterId::Trusted("k1"),
                        .epoch = 2,
                        .revision = 77,
                        .initialised = true,
                        .moves_frozen = true,
                        .moves_frozen_reason = "4 of 10 nodes fell silent",
                        .nodes = {{"ready", 3}},
                        .containers = {{"running", 5}},
                        .conditions = {{"disk-full", "critical", "m"}}};
  EXPECT_EQ(ToJson(ClusterFromJson(ToJson(cluster)).value()), ToJson(cluster));
}

}  // namespace
}  // namespace bramble::api
