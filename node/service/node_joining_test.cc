// SPDX-License-Identifier: Apache-2.0
// How a node joins, whom it trusts, and how it keeps its certificate.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/service/node_testing.h"

namespace bramble::node {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TEST(NodeJoiningTest, ThatNoControllerIsKnownIsSaidOnceAndNotAtEveryTry) {
  Machine m;
  NodeConfig config = m.Config();
  config.join_token.clear();
  config.reconnect_max = milliseconds(2);
  m.Boot(config);
  m.Pass(milliseconds(300));

  const std::vector<std::string> lines = m.log.lines();
  EXPECT_EQ(std::count_if(lines.begin(), lines.end(),
                          [](const std::string& line) {
                            return line.find("no_controller") != std::string::npos;
                          }),
            1);
}

TEST(NodeJoiningTest, SendsNothingSecretToAControllerWithAnotherKey) {
  Machine m;
  NodeConfig config = m.Config();
  m.controller.BecomeAnother();
  m.Boot(config);
  ASSERT_TRUE(
      m.Until([&] { return m.service->uplink_state().phase == UplinkState::Phase::kRefused; }));
  EXPECT_THAT(m.controller.joins, IsEmpty());
  EXPECT_THAT(m.service->uplink_state().reason, HasSubstr("its key is another one than expected"));
}

TEST(NodeJoiningTest, OnceJoinedItRefusesAnotherKeyAtTheSameAddress) {
  Machine m;
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return !m.controller.heartbeats.empty(); }));
  m.controller.Disconnect();
  m.controller.BecomeAnother();
  ASSERT_TRUE(
      m.Until([&] { return m.service->uplink_state().phase == UplinkState::Phase::kRefused; }));
  EXPECT_TRUE(m.log.Contains("controller_refused"));
  EXPECT_THAT(m.controller.hellos, SizeIs(1));
}

TEST(NodeJoiningTest, ANodeThatWasRemovedJoinsAgainByItsToken) {
  Machine m;
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return !m.controller.heartbeats.empty(); }));
  m.controller.knows_it = false;
  m.controller.Disconnect();

  ASSERT_TRUE(m.Until([&] { return m.controller.hellos.size() == 2; }));
  EXPECT_THAT(m.controller.joins, SizeIs(2));
  EXPECT_THAT(m.controller.proofs, SizeIs(2));
  EXPECT_EQ(m.controller.hellos[1].session_value, "") << "of the identity that it has now";
  EXPECT_TRUE(m.log.Contains("identity_refused"));
}

TEST(NodeJoiningTest, ANodeThatWasRemovedAndHasNoTokenKeepsWhatItIs) {
  Machine m;
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return !m.controller.heartbeats.empty(); }));
  m.Halt();
  NodeConfig config = m.Config();
  config.join_token.clear();
  m.controller.knows_it = false;
  m.Boot(config);
  ASSERT_TRUE(
      m.Until([&] { return m.service->uplink_state().phase == UplinkState::Phase::kRefused; }));
  EXPECT_THAT(m.controller.joins, SizeIs(1));
  m.controller.knows_it = true;
  ASSERT_TRUE(m.Until([&] { return m.controller.hellos.size() == 2; }));
}

TEST(NodeJoiningTest, AnExplicitJoinOfANodeThatWasRemovedJoinsAgain) {
  Machine m;
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return !m.controller.heartbeats.empty(); }));
  m.Halt();
  for (const bool known : {true, false}) {
    m.controller.knows_it = known;
    m.Make(m.Config());
    const absl::Status joined = RunOnLoop(m.loop, m.service->Join());
    EXPECT_TRUE(joined.ok()) << joined;
    EXPECT_THAT(m.controller.joins, SizeIs(known ? 1 : 2));
    m.service.reset();
  }
}

TEST(NodeJoiningTest, WithoutATokenItWaitsForAPersonAndThenPinsTheKey) {
  Machine m;
  m.controller.approve = false;
  NodeConfig config = m.Config();
  config.join_token.clear();
  config.controllers = {m.controller.address()};
  m.Boot(config);
  ASSERT_TRUE(
      m.Until([&] { return m.service->uplink_state().phase == UplinkState::Phase::kPending; }));
  EXPECT_THAT(m.service->uplink_state().code, testing::MatchesRegex("[0-9]+"));
  EXPECT_NE(m.service->uplink_state().code, "123456") << "made of the keys, not taken over";
  EXPECT_EQ(m.controller.joins[0].proof, "");
  m.controller.approve = true;
  ASSERT_TRUE(m.Until([&] { return m.controller.connected(); }));
}

TEST(NodeJoiningTest, RenewsACertificateBeyondTwoThirdsOfItsLifeAndNotBefore) {
  Machine m;
  m.controller.certificate_age = std::chrono::hours(1);
  m.controller.certificate_rest = std::chrono::hours(1);
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return !m.controller.heartbeats.empty(); }));
  m.Pass(milliseconds(50));
  EXPECT_EQ(m.controller.renewals, 0);

  Machine late;
  late.controller.certificate_age = std::chrono::hours(5);
  late.controller.certificate_rest = std::chrono::hours(1);
  late.Boot();
  ASSERT_TRUE(late.Until([&] { return late.controller.renewals == 1; }));
  EXPECT_TRUE(late.controller.connected());
}

TEST(NodeJoiningTest, RenewsACertificateThatRanOutWhileItWasAway) {
  Machine m;
  m.controller.certificate_age = std::chrono::hours(5);
  m.controller.certificate_rest = std::chrono::hours(-1);
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return m.controller.connected(); }));
  EXPECT_EQ(m.controller.renewals, 1);
}

TEST(NodeJoiningTest, AHeldNodeWaitsLong) {
  Machine m;
  m.controller.held = "another card shows this key";
  m.Boot();
  ASSERT_TRUE(
      m.Until([&] { return m.service->uplink_state().phase == UplinkState::Phase::kHeld; }));
  m.Pass(milliseconds(100));
  EXPECT_THAT(m.controller.hellos, SizeIs(1));
  EXPECT_THAT(m.service->uplink_state().reason, HasSubstr("another card"));
}

TEST(NodeJoiningTest, ACopiedCardJoinsAnewWithAKeyOfItsOwnWhenAPersonSaysSo) {
  Machine m;
  m.controller.held = "two cards show this key";
  m.controller.new_identity = true;
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return m.controller.joins.size() == 2; }))
      << testing::PrintToString(m.log.lines());
  ASSERT_TRUE(m.Until([&] { return !m.controller.heartbeats.empty(); }));
  const auto key_of = [&](size_t join) {
    return ParseCertificateRequest(m.controller.joins[join].csr_pem)->key.Spki();
  };
  EXPECT_NE(key_of(0), key_of(1));
  EXPECT_EQ(m.controller.hellos.back().session_value, "");
  m.Halt();
  m.key = PrivateKey::Load(m.directory.path() / "state/node.key").value();
  EXPECT_EQ(m.key.Spki(), key_of(1)) << "kept for the next start";
}

}  // namespace
}  // namespace bramble::node
