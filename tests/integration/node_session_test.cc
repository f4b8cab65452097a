// SPDX-License-Identifier: Apache-2.0
// Joining, the node's session, and what a node may and may not do on 8444.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/token.h"
#include "base/hash.h"
#include "base/status.h"
#include "tests/integration/simulated_node.h"

namespace bramble::testing {
namespace {

using ::testing::HasSubstr;

class NodeSessionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    controller_.Start();
    admin_.emplace(controller_, controller_.Token());
  }
  std::string NewToken(json::object more = {}) {
    return admin_->Post("/v1/tokens", more).Text("join_token");
  }
  void UploadImage(std::string architecture = "amd64") {
    const Answer answer = admin_->Send(
        "POST", "/v1/images?name=busybox&architecture=" + architecture, "not really a tar");
    ASSERT_EQ(answer.status, 201) << answer.text;
  }
  Answer Create(const char* name, json::object more = {}) {
    more["name"] = name;
    more["image"] = "busybox";
    return admin_->Post("/v1/containers", more);
  }

  // A node that shows `certificate_pem` may do nothing but join and renew.
  void TestStranger(SimulatedNode& node, const std::string& certificate_pem) {
    EXPECT_EQ(node.GetWith(certificate_pem, "/v1/nothing").status, 401);
    EXPECT_EQ(node.Get("/v1/nothing").status, 404) << "its valid one opens the door";
  }

  ControllerProcess controller_;
  std::optional<Person> admin_;
};

TEST_F(NodeSessionTest, ANodeJoinsByATokenAndRunsWhatIsPlacedOnIt) {
  SimulatedNode node(controller_);
  ASSERT_TRUE(node.Join(NewToken()).ok());
  node.Connect();
  admin_->Await("/v1/nodes/pi-1", "state", "ready");
  UploadImage();

  const Answer created = Create("web");

  ASSERT_EQ(created.status, 202) << created.text;
  const Answer done = admin_->Get("/v1/operations/" + created.Text("id") + "?wait=10");
  EXPECT_EQ(done.Text("state"), "succeeded") << done.text;
  const Answer web = admin_->Get("/v1/containers/web");
  EXPECT_EQ(web.Text("status.state"), "running");
  EXPECT_EQ(web.Text("status.node"), "pi-1");
  EXPECT_FALSE(web.Text("status.address").empty());
  ASSERT_EQ(node.desired().containers.size(), 1u);
  EXPECT_EQ(node.desired().containers[0].image_digest, Sha256("not really a tar").Hex());
}

TEST_F(NodeSessionTest, EveryVerbIsCarriedOutAndATombstoneEndsIt) {
  SimulatedNode node(controller_);
  ASSERT_TRUE(node.Join(NewToken()).ok());
  node.Connect();
  UploadImage();
  Create("web");
  admin_->Await("/v1/containers/web", "status.state", "running");

  const std::pair<const char*, const char*> verbs[] = {
      {"freeze", "frozen"}, {"unfreeze", "running"}, {"stop", "stopped"},
      {"start", "running"}, {"restart", "running"},  {"rebuild", "running"}};
  for (const auto& [verb, state] : verbs) {
    const Answer answer = admin_->Post(std::string("/v1/containers/web/") + verb);
    ASSERT_EQ(answer.status, 202) << verb << answer.text;
    EXPECT_EQ(admin_->Get("/v1/operations/" + answer.Text("id") + "?wait=10").Text("state"),
              "succeeded")
        << verb;
    admin_->Await("/v1/containers/web", "status.state", state);
  }
  const Answer deleted = admin_->Delete("/v1/containers/web");
  EXPECT_EQ(deleted.status, 202) << deleted.text;
  EXPECT_EQ(admin_->Get("/v1/operations/" + deleted.Text("id") + "?wait=10").Text("state"),
            "succeeded");
  EXPECT_EQ(admin_->Get("/v1/containers/web").status, 404);
  EXPECT_TRUE(node.desired().containers.empty());
}

TEST_F(NodeSessionTest, ATokenThatIsWrongExpiredUsedOrRevokedIsRefusedAndSaysSo) {
  const std::string good = NewToken();
  SimulatedNode node(controller_);

  JoinAttempt wrong_proof{.join_token = good, .proof = std::string(43, 'A')};
  EXPECT_TRUE(absl::IsPermissionDenied(node.Join(wrong_proof).status()));

  JoinAttempt foreign{.join_token = good, .token_id = TokenId::Parse("nosuchtoken").value()};
  EXPECT_TRUE(absl::IsPermissionDenied(node.Join(foreign).status()));

  JoinAttempt other_key{.join_token = good, .signing_key = PrivateKey::Generate()};
  EXPECT_FALSE(node.Join(other_key).ok()) << "the proof is over another key than the request's";

  ASSERT_TRUE(node.Join(good).ok());
  SimulatedNode second(controller_, {.hostname = "pi-2"});
  const absl::Status used = second.Join(good).status();
  EXPECT_TRUE(absl::IsPermissionDenied(used)) << used;
  EXPECT_THAT(std::string(used.message()), HasSubstr("token"));

  const Answer short_lived = admin_->Post("/v1/tokens", {{"expires_s", 1}, {"max_uses", 1000}});
  SimulatedNode late(controller_, {.hostname = "pi-3"});
  EXPECT_TRUE(Eventually([&] {
    return absl::IsPermissionDenied(late.Join(short_lived.Text("join_token")).status());
  })) << "it runs out after a second";

  const Answer revoked = admin_->Post("/v1/tokens");
  EXPECT_LT(admin_->Delete("/v1/tokens/" + revoked.Text("token.id")).status, 300);
  EXPECT_TRUE(absl::IsPermissionDenied(late.Join(revoked.Text("join_token")).status()));
}

TEST_F(NodeSessionTest, AControllerWithAnotherKeyIsToldNothing) {
  api::JoinToken token = api::ParseJoinToken(NewToken()).value();
  token.controller_key_sha256[0] ^= 1;
  SimulatedNode node(controller_);

  const absl::Status refused = node.Join(api::FormatJoinToken(token)).status();

  EXPECT_TRUE(absl::IsPermissionDenied(refused)) << refused;
}

TEST_F(NodeSessionTest, TooManyFailedJoinsFromOneAddressWaitAMinute) {
  const std::string good = NewToken();
  SimulatedNode node(controller_);
  absl::Status last;
  for (int i = 0; i < 25; ++i) {
    last = node.Join(JoinAttempt{.join_token = good, .proof = std::string(43, 'A')}).status();
  }
  EXPECT_TRUE(absl::IsResourceExhausted(last)) << last;
  EXPECT_TRUE(absl::IsResourceExhausted(node.Join(good).status()));
}

TEST_F(NodeSessionTest, WithoutACertificateOneMayOnlyJoin) {
  SimulatedNode stranger(controller_);
  const Answer first = stranger.Get("/v1/node");
  EXPECT_EQ(first.status, 401);
  for (const char* target : {"/v1/blobs/x", "/v1/streams/x", "/v1/containers", "/nothing"}) {
    EXPECT_EQ(stranger.Get(target).text, first.text) << target;
  }
}

TEST_F(NodeSessionTest, ARemovedNodesCertificateIsRefused) {
  SimulatedNode node(controller_);
  ASSERT_TRUE(node.Join(NewToken()).ok());
  ASSERT_EQ(node.Get("/v1/nothing").status, 404);

  EXPECT_LT(admin_->Delete("/v1/nodes/pi-1").status, 300);

  EXPECT_EQ(node.Get("/v1/nothing").status, 401);
}

TEST_F(NodeSessionTest, ABlobIsGivenToTheNodeThatNeedsItAlsoInParts) {
  SimulatedNode node(controller_);
  SimulatedNode other(controller_, {.hostname = "pi-2"});
  ASSERT_TRUE(node.Join(NewToken()).ok());
  ASSERT_TRUE(other.Join(NewToken()).ok());
  UploadImage();
  const std::string target = "/v1/blobs/" + Sha256("not really a tar").Hex();
  EXPECT_EQ(node.Get(target).status, 404) << "no container of it uses that image";
  node.Connect();
  Create("web");
  admin_->Await("/v1/containers/web", "status.state", "running");

  EXPECT_EQ(node.Get(target).text, "not really a tar");
  const Answer part = node.Get(target, {{"Range", "bytes=4-9"}});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.text, "really");
  EXPECT_EQ(other.Get(target).status, 404);
  const Answer pieces = node.Get(target + "/pieces");
  EXPECT_EQ(pieces.Text("size_bytes"), "16") << pieces.text;
  EXPECT_THAT(pieces.text, ::testing::HasSubstr(Sha256("not really a tar").Hex()))
      << "its only one";
  EXPECT_EQ(other.Get(target + "/pieces").status, 404);
}

// A certificate of the cluster's authority for the node, with dates of the test's choice.
std::string CertificateOf(const ControllerProcess& controller, const SimulatedNode& node,
                          const PublicKey& key, int from_hours, int to_hours) {
  const WallTime now = SystemClock().Wall();
  const Issuer ca{.certificate = controller.Ca(),
                  .key = PrivateKey::LoadOrCreate(controller.state() / "ca.key").value()};
  const Certificate real = Certificate::FromPem(node.identity().certificate_pem).value();
  return IssueCertificate(
             ca, key, {.common_name = node.identity().node_id.str(), .uris = real.Uris()},
             {now + std::chrono::hours(from_hours), now + std::chrono::hours(to_hours)},
             CertificateUse::kServerAndClient)
      .value()
      .Pem();
}

TEST_F(NodeSessionTest, AnExpiredCertificateIsRenewedWithProofOfItsKeyAndOpensNothingElse) {
  SimulatedNode node(controller_);
  ASSERT_TRUE(node.Join(NewToken()).ok());
  const std::string expired = CertificateOf(controller_, node, node.key().Public(), -24 * 400, -24);

  const auto renewed = node.Renew({.certificate_pem = expired});
  ASSERT_TRUE(renewed.ok()) << renewed.status();
  EXPECT_EQ(renewed->node_id, node.identity().node_id);
  const Certificate fresh = Certificate::FromPem(renewed->certificate_pem).value();
  EXPECT_GT(fresh.NotAfter(), SystemClock().Wall() + std::chrono::hours(24 * 300));
  EXPECT_EQ(fresh.Spki().Hex(), node.key().Spki().Hex());
  EXPECT_GT(renewed->signed_time_ms, 0);

  const PrivateKey other = PrivateKey::Generate();
  const auto other_key = node.Renew({.certificate_pem = expired, .signing_key = other});
  EXPECT_TRUE(absl::IsPermissionDenied(other_key.status())) << other_key.status();
  EXPECT_THAT(std::string(other_key.status().message()), HasSubstr("another key"));
  const std::string stolen = CertificateOf(controller_, node, other.Public(), -24 * 400, -24);
  const auto not_its_own =
      node.Renew({.certificate_pem = stolen, .key = other, .signing_key = other});
  EXPECT_TRUE(absl::IsPermissionDenied(not_its_own.status()))
      << "the key is not the one that joined: " << not_its_own.status();
  EXPECT_TRUE(absl::IsPermissionDenied(node.Renew({}).status())) << "no certificate at all";
  TestStranger(node, expired);

  EXPECT_LT(admin_->Delete("/v1/nodes/pi-1").status, 300);
  EXPECT_TRUE(absl::IsPermissionDenied(node.Renew({.certificate_pem = expired}).status()))
      << "a removed node's";
}

TEST_F(NodeSessionTest, ANewerConnectionOfANodeReplacesTheOlder) {
  SimulatedNode node(controller_);
  ASSERT_TRUE(node.Join(NewToken()).ok());
  node.Connect();
  admin_->Await("/v1/nodes/pi-1", "state", "ready");
  node.Connect();
  admin_->Await("/v1/nodes/pi-1", "state", "ready");
  EXPECT_EQ(admin_->Get("/v1/nodes").body.at("items").as_array().size(), 1u);
}

TEST_F(NodeSessionTest, AnImageOfAnotherArchitectureAndATooLargeRequestStayPendingWithTheReason) {
  SimulatedNode node(controller_);
  ASSERT_TRUE(node.Join(NewToken()).ok());
  node.Connect();
  admin_->Await("/v1/nodes/pi-1", "state", "ready");
  UploadImage("armhf");
  Create("foreign");
  EXPECT_THAT(admin_->Get("/v1/containers/foreign").Text("status.reason"), HasSubstr("armhf"));
  UploadImage("amd64");

  Create("huge", {{"limits", {{"memory_bytes", int64_t{1} << 40}}}});

  const Answer huge = admin_->Get("/v1/containers/huge");
  EXPECT_EQ(huge.Text("status.state"), "pending");
  EXPECT_THAT(huge.Text("status.reason"), HasSubstr("960MiB"));
  const Answer plan = admin_->Post(
      "/v1/plan",
      {{"name", "x"}, {"image", "busybox"}, {"limits", {{"memory_bytes", int64_t{1} << 40}}}});
  EXPECT_EQ(plan.status, 200) << plan.text;
  EXPECT_THAT(plan.text, HasSubstr("pi-1"));
  EXPECT_EQ(plan.body.at("nodes").at(0).at("fits").as_bool(), false);
}

TEST_F(NodeSessionTest, ANodeThatHasSeenMoreThanTheControllerRaisesTheEpoch) {
  SimulatedNode node(controller_);
  ASSERT_TRUE(node.Join(NewToken()).ok());
  const std::string before = admin_->Get("/v1/cluster").Text("epoch");
  node.ClaimVersion({.epoch = 41, .generation = 7});
  node.Connect();

  admin_->Await("/v1/cluster", "epoch", "42");
  EXPECT_NE(before, "42");
  EXPECT_EQ(admin_->Get("/v1/cluster").Text("adopting"), "true");
}

}  // namespace
}  // namespace bramble::testing
