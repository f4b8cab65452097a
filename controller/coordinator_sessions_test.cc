// SPDX-License-Identifier: Apache-2.0
#include "controller/coordinator_sessions.h"

#include "controller/coordinator_fixture.h"

namespace bramble::controller {
namespace {

using api::ContainerState;
using api::NodeState;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

class SessionsTest : public CoordinatorTest {
 protected:
  void MakeClusterOfThree() {
    AddImage();
    for (const char* name : {"pi-1", "pi-2", "pi-3"}) {
      AddNode(name);
    }
  }
  // Which node holds `name`, as the model says.
  std::string Home(const std::string& name) { return Container(name).status.node; }
};

TEST_F(SessionsTest, EveryBadTokenIsRefusedAndNothingIsMade) {
  const std::string good = TokenText(1);
  api::JoinToken foreign = api::ParseJoinToken(good).value();
  foreign.secret = std::string(api::kJoinSecretBytes, 'x');
  api::JoinToken unknown = api::ParseJoinToken(good).value();
  unknown.id = TokenId::Trusted("nothing");

  EXPECT_EQ(Join("a", api::FormatJoinToken(foreign)).status().code(),
            absl::StatusCode::kPermissionDenied)
      << "a wrong secret";
  EXPECT_EQ(Join("a", api::FormatJoinToken(unknown)).status().code(),
            absl::StatusCode::kPermissionDenied)
      << "an unknown token";
  EXPECT_EQ(Join("a", good, "another connection").status().code(),
            absl::StatusCode::kPermissionDenied)
      << "a proof relayed from another connection";
  EXPECT_EQ(coordinator_->state().nodes().size(), 0u);

  EXPECT_TRUE(Join("a", good).ok());
  EXPECT_TRUE(Join("a", good).ok()) << "the same node asks again: its answer was lost";
  EXPECT_EQ(Join("b", good).status().code(), absl::StatusCode::kPermissionDenied) << "used up";

  const std::string old = TokenText();
  clock_.Advance(std::chrono::hours(25));
  EXPECT_THAT(std::string(Join("c", old).status().message()), HasSubstr("expired"));
  const std::string revoked = TokenText();
  const std::string id = api::ParseJoinToken(revoked).value().id.str();
  ASSERT_TRUE(Do([&](WriteDone done) {
                coordinator_->tokens().Revoke(Admin(), id, {}, std::move(done));
              }).ok());
  EXPECT_THAT(std::string(Join("c", revoked).status().message()), HasSubstr("revoked"));
  EXPECT_EQ(coordinator_->state().nodes().size(), 1u);
}

TEST_F(SessionsTest, ANodeWithoutATokenWaitsUntilAPersonComparedItsCode) {
  const auto asked = Join("pi-1", "");
  ASSERT_TRUE(asked.ok()) << asked.status();
  EXPECT_TRUE(asked->pending);
  EXPECT_EQ(asked->code.size(), 6u);
  EXPECT_EQ(asked->code, Node("pi-1").code);
  EXPECT_FALSE(coordinator_->AuthenticateNode(asked->node_id, Sha256("key-pi-1").Hex()).ok());
  auto approve = [&](const std::string& code) {
    return Do([&](WriteDone done) {
      coordinator_->nodes().Approve(Admin(), "pi-1", code, {}, std::move(done));
    });
  };

  EXPECT_EQ(approve("x").status().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(approve(asked->code).ok());
  const auto joined = Join("pi-1", "");

  EXPECT_FALSE(joined->pending);
  EXPECT_EQ(joined->node_id, asked->node_id);
  EXPECT_THAT(joined->certificate_pem, HasSubstr("certificate of"));
  Connect("pi-1");
  EXPECT_EQ(Node("pi-1").state, NodeState::kReady);
}

TEST_F(SessionsTest, AMachineThatNoLongerAsksToJoinIsForgotten) {
  ASSERT_TRUE(Join("asks", "")->pending);
  ASSERT_TRUE(Join("gone", "")->pending);
  for (int hour = 0; hour < 25; ++hour) {
    clock_.Advance(std::chrono::hours(1));
    ASSERT_TRUE(Join("asks", "")->pending);
  }

  EXPECT_NE(coordinator_->state().FindNode("asks"), nullptr);
  EXPECT_EQ(coordinator_->state().FindNode("gone"), nullptr);
}

TEST_F(SessionsTest, AContainerThatItsNodeLostIsMadeAgain) {
  AddNode("pi-1");
  AddImage();
  ASSERT_TRUE(Create(Request("web")).ok());
  ReportAll("pi-1");
  nodes_["pi-1"].containers.clear();
  nodes_["pi-1"].version = {};
  coordinator_->sessions().OnMessage(nodes_["pi-1"].link, api::Report{.full = true});
  Settle();
  EXPECT_EQ(Container("web").status.state, ContainerState::kPlaced);
  EXPECT_THAT(Container("web").status.reason, HasSubstr("anew"));

  Disconnect("pi-1");
  Connect("pi-1");
  EXPECT_EQ(Container("web").status.state, ContainerState::kRunning);
}

TEST_F(SessionsTest, NamesAndAddressesOfNodesAreUnique) {
  const std::string token = TokenText();
  nodes_["Pi.local"].key = "k1";
  nodes_["pi"].key = "k2";
  const auto first = Join("Pi.local", token);
  const auto second = Join("pi", token);

  EXPECT_EQ(first->name.str(), "pi");
  EXPECT_EQ(second->name.str(), "pi-2");
  EXPECT_EQ(first->address, "172.16.0.11/24");
  EXPECT_EQ(second->address, "172.16.0.12/24");
}

TEST_F(SessionsTest, RenewalWantsTheKeyOfTheCertificate) {
  AddNode("pi-1");
  auto renew = [&](const std::string& csr, const std::string& key) {
    absl::StatusOr<api::JoinReply> answer = absl::UnknownError("not called");
    coordinator_->sessions().OnRenew(
        {.csr_pem = csr},
        {.certificate_node = nodes_["pi-1"].id, .certificate_key_sha256 = Sha256(key).Hex()},
        [&](absl::StatusOr<api::JoinReply> reply) { answer = std::move(reply); });
    return answer;
  };

  EXPECT_TRUE(renew("csr key-pi-1", "key-pi-1").ok());
  EXPECT_EQ(renew("csr other", "key-pi-1").status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(renew("csr key-pi-1", "other").status().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(SessionsTest, AReconnectingNodeIsSentAllOfItsOwnAndNothingOfOthers) {
  MakeClusterOfThree();
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_TRUE(Create(Request(name)).ok());
  }
  for (const char* name : {"pi-1", "pi-2", "pi-3"}) {
    EXPECT_EQ(nodes_[name].containers.size(), 1u) << "they are spread";
  }
  nodes_["pi-2"].containers.clear();  // it lost its journal
  Disconnect("pi-2");
  Connect("pi-2");

  EXPECT_EQ(nodes_["pi-2"].containers.size(), 1u);
  EXPECT_TRUE(nodes_["pi-2"].desired.back().full);
}

TEST_F(SessionsTest, AResyncSendsTheWholeState) {
  AddNode("pi-1");
  AddImage();
  ASSERT_TRUE(Create(Request("web")).ok());
  const size_t before = nodes_["pi-1"].desired.size();
  coordinator_->sessions().OnMessage(nodes_["pi-1"].link, api::Resync{});
  Settle();

  ASSERT_EQ(nodes_["pi-1"].desired.size(), before + 1);
  EXPECT_TRUE(nodes_["pi-1"].desired.back().full);
}

TEST_F(SessionsTest, MessagesOfAnOldConnectionCountForNothing) {
  AddNode("pi-1");
  AddImage();
  ASSERT_TRUE(Create(Request("web")).ok());
  const LinkId old = nodes_["pi-1"].link;
  Connect("pi-1");
  const std::string id = Container("web").id.str();
  api::ObservedContainer failed =
      Observed(nodes_["pi-1"].containers.at(id), ContainerState::kFailed);
  coordinator_->sessions().OnMessage(old, api::Report{.containers = {failed}});
  coordinator_->sessions().OnDisconnected(old);
  Settle();

  EXPECT_TRUE(links_->closed.contains(old));
  EXPECT_EQ(Container("web").status.state, ContainerState::kRunning);
  EXPECT_TRUE(coordinator_->containers().FindStreamTarget(Admin(), {"web"}).ok());
}

TEST_F(SessionsTest, ALostAnswerToHelloIsNoClone) {
  AddNode("pi-1");
  PlayedNode& node = nodes_["pi-1"];
  for (int i = 0; i < 5; ++i) {
    // The controller stored the new value, and the node lost power before it had it.
    const std::string value = node.session_value;
    node.boot_id = "boot-" + std::to_string(i + 2);
    Disconnect("pi-1");
    Connect("pi-1");
    if (i % 2 == 0) {
      node.session_value = value;
    }
    EXPECT_EQ(Node("pi-1").state, NodeState::kReady);
  }
  EXPECT_THAT(EventTypes(), Not(Contains("node.session_lost")));
}

TEST_F(SessionsTest, ACopiedCardInAnotherBoardIsHeldWithTheFirstAndGetsItsOwnIdentity) {
  AddNode("pi-1");
  PlayedNode copy = nodes_["pi-1"];
  copy.serial = "another board";
  copy.boot_id = "boot-9";

  ConnectAs(copy);
  Settle();
  Receive(copy);
  EXPECT_EQ(Node("pi-1").state, NodeState::kHeld);
  EXPECT_TRUE(copy.held.has_value());
  EXPECT_TRUE(nodes_["pi-1"].held.has_value()) << "both are held";
  EXPECT_THAT(Node("pi-1").reason, HasSubstr("node reset"));
  Connect("pi-1");
  EXPECT_EQ(Node("pi-1").state, NodeState::kHeld) << "until a person decides";

  ASSERT_TRUE(Do([&](WriteDone done) {
                coordinator_->nodes().Reset(Admin(), "pi-1", {}, std::move(done));
              }).ok());
  ConnectAs(copy);
  Settle();
  Receive(copy);
  ASSERT_TRUE(copy.held.has_value());
  EXPECT_TRUE(copy.held->new_identity);
  Connect("pi-1");
  EXPECT_EQ(Node("pi-1").state, NodeState::kReady);

  nodes_["copy"] = copy;
  nodes_["copy"].key = "new key";
  const auto joined = Join("copy", TokenText());
  ASSERT_TRUE(joined.ok()) << joined.status();
  EXPECT_NE(joined->node_id, nodes_["pi-1"].id);
}

TEST_F(SessionsTest, ACopyThatPresentsAnOldSessionValueWhileTheFirstIsOnIsHeld) {
  nodes_["pi-1"].serial = "";
  ASSERT_TRUE(Join("pi-1", TokenText()).ok());
  nodes_["pi-1"].serial = "";
  Connect("pi-1");
  PlayedNode copy = nodes_["pi-1"];
  copy.boot_id = "boot-9";
  for (int i = 0; i < 3; ++i) {
    Disconnect("pi-1");
    Connect("pi-1");
  }

  ConnectAs(copy);
  Settle();

  EXPECT_EQ(Node("pi-1").state, NodeState::kHeld);
}

TEST_F(SessionsTest, ALeaseIsGivenOnlyToNodesWithMovableContainers) {
  AddNode("pi-1");
  AddImage();
  ASSERT_TRUE(Create(Request("pinned")).ok());
  Heartbeat("pi-1");
  Settle();
  EXPECT_EQ(nodes_["pi-1"].last_reply->lease_ms, 0);
  ASSERT_TRUE(Create(Request("roaming", /*movable=*/true)).ok());
  Heartbeat("pi-1");
  Settle();

  EXPECT_EQ(nodes_["pi-1"].last_reply->lease_ms, 120'000);
  EXPECT_EQ(nodes_["pi-1"].last_reply->sequence, sequence_);
  EXPECT_EQ(nodes_["pi-1"].last_reply->sent_boot_ns, clock_.Boot().time_since_epoch().count());
}

TEST_F(SessionsTest, AMovableContainerOfASilentNodeMovesAfterItsTimeAndAPinnedOneNever) {
  MakeClusterOfThree();
  CreateContainer movable = Request("roaming", true);
  movable.spec.placement.preferred = {{.key = "home", .op = api::LabelOperator::kExists}};
  ASSERT_TRUE(Create(movable).ok());
  const std::string lost = Home("roaming");
  CreateContainer pinned = Request("pinned");
  pinned.spec.placement.node = lost;
  ASSERT_TRUE(Create(pinned).ok());
  std::vector<std::string> others;
  for (const char* name : {"pi-1", "pi-2", "pi-3"}) {
    ReportAll(name);
    if (name != lost) {
      others.push_back(name);
    }
  }
  PassWithHeartbeats(std::chrono::seconds(60), {"pi-1", "pi-2", "pi-3"});

  PassWithHeartbeats(std::chrono::seconds(65), others);
  EXPECT_EQ(Node(lost).state, NodeState::kUnreachable);
  EXPECT_EQ(Container("roaming").status.state, ContainerState::kUnknown);
  PassWithHeartbeats(std::chrono::seconds(300 - 65 - 10), others);
  EXPECT_EQ(Home("roaming"), lost) << "not before 300 s";
  PassWithHeartbeats(std::chrono::seconds(30), others);

  EXPECT_NE(Home("roaming"), lost);
  EXPECT_EQ(Home("pinned"), lost);
  const std::string id = Container("roaming").id.str();
  EXPECT_TRUE(nodes_[Home("roaming")].containers.contains(id));

  // It comes back with its old copy, which it is told to destroy, and nothing else.
  Disconnect(lost);
  Connect(lost);
  EXPECT_FALSE(nodes_[lost].containers.contains(id));
  EXPECT_EQ(nodes_[lost].containers.size(), 1u);
  EXPECT_EQ(Container("pinned").status.state, ContainerState::kRunning);
}

TEST_F(SessionsTest, AControllerStartGrantsEveryNodeTheFullTime) {
  MakeClusterOfThree();
  ASSERT_TRUE(Create(Request("roaming", true)).ok());
  const std::string home = Home("roaming");
  ReportAll(home);
  std::vector<std::string> others;
  for (const char* name : {"pi-1", "pi-2", "pi-3"}) {
    if (name != home) {
      others.push_back(name);
    }
  }
  clock_.Advance(std::chrono::hours(5));
  Restart();
  for (const std::string& name : others) {
    Connect(name);
  }

  PassWithHeartbeats(std::chrono::seconds(290), others);
  EXPECT_EQ(Home("roaming"), home);
  PassWithHeartbeats(std::chrono::seconds(40), others);
  EXPECT_NE(Home("roaming"), home);
}

TEST_F(SessionsTest, FastTimingHasItElsewhereWithin45Seconds) {
  settings_.timing = TimingPreset("fast").value();
  store_ = MemoryStore();
  Restart();
  MakeClusterOfThree();
  ASSERT_TRUE(Create(Request("roaming", true)).ok());
  const std::string home = Home("roaming");
  ReportAll(home);
  std::vector<std::string> others;
  for (const char* name : {"pi-1", "pi-2", "pi-3"}) {
    Heartbeat(name);
    if (name != home) {
      others.push_back(name);
    }
  }
  Settle();
  PassWithHeartbeats(std::chrono::seconds(45), others);

  EXPECT_NE(Home("roaming"), home);
}

TEST_F(SessionsTest, WhenManyNodesFallSilentTogetherNothingMoves) {
  AddImage();
  for (int i = 1; i <= 6; ++i) {
    AddNode("pi-" + std::to_string(i));
  }
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(Create(Request("c" + std::to_string(i), true)).ok());
  }
  for (int i = 1; i <= 6; ++i) {
    ReportAll("pi-" + std::to_string(i));
  }
  std::map<std::string, std::string> before;
  for (int i = 0; i < 6; ++i) {
    before["c" + std::to_string(i)] = Home("c" + std::to_string(i));
  }
  PassWithHeartbeats(std::chrono::minutes(20), {"pi-1", "pi-2", "pi-3"});

  for (const auto& [name, home] : before) {
    EXPECT_EQ(Home(name), home);
  }
  const json::value cluster = json::parse(*coordinator_->cluster().Get(Admin())->body);
  EXPECT_TRUE(cluster.at("moves_frozen").as_bool());
  EXPECT_THAT(EventTypes(), Contains("cluster.moves_frozen"));
}

TEST_F(SessionsTest, ANodesRowsAreItsOwn) {
  MakeClusterOfThree();
  ASSERT_TRUE(Create(Request("web")).ok());
  const std::string home = Home("web");
  const std::string other = home == "pi-1" ? "pi-2" : "pi-1";
  ReportAll(home);
  api::ObservedContainer lie =
      Observed(nodes_[home].containers.begin()->second, ContainerState::kFailed);
  coordinator_->sessions().OnMessage(nodes_[other].link, api::Report{.containers = {lie}});
  coordinator_->sessions().OnMessage(nodes_[other].link, api::Report{.removed = {lie.id}});
  Settle();

  EXPECT_EQ(Container("web").status.state, ContainerState::kRunning);
  const std::string& digest = Container("web").status.image_digest;
  EXPECT_TRUE(coordinator_->sessions().MayFetchBlob(nodes_[home].id, digest));
  EXPECT_FALSE(coordinator_->sessions().MayFetchBlob(nodes_[other].id, digest));
}

TEST_F(SessionsTest, SignedTimeNeverGoesBackOverARestartWithAWrongClock) {
  Settle();
  int64_t highest = 0;
  for (int i = 0; i < 100; ++i) {
    clock_.Advance(std::chrono::seconds(1));
    highest = std::max(highest, coordinator_->cluster().SignedTimeMs());
    Settle();
  }
  clock_.SetWall(WallTime(std::chrono::seconds(1000)));
  Restart();

  EXPECT_GE(coordinator_->cluster().SignedTimeMs(), highest);
  Settle();
  EXPECT_GE(coordinator_->cluster().SignedTimeMs(), highest);
}

TEST_F(SessionsTest, ACardWhoseSessionValueCouldNotBeSavedIsNoClone) {
  AddNode("pi-1");
  PlayedNode& node = nodes_["pi-1"];
  const std::string saved = node.session_value;
  for (int i = 0; i < 2; ++i) {
    Disconnect("pi-1");
    Connect("pi-1");
  }
  // Its disk was full all the while, and now its power is cut: the connection hangs.
  node.session_value = saved;
  node.boot_id = "boot-2";
  Connect("pi-1");

  EXPECT_EQ(Node("pi-1").state, NodeState::kReady);
  EXPECT_THAT(EventTypes(), Contains("node.session_lost"));
}

TEST_F(SessionsTest, ACardWithoutASessionValueIsDoubtfulAndNoClone) {
  nodes_["pi-1"].serial = "";
  ASSERT_TRUE(Join("pi-1", TokenText()).ok());
  nodes_["pi-1"].serial = "";
  for (int i = 0; i < 2; ++i) {
    Connect("pi-1");
    Disconnect("pi-1");
  }
  nodes_["pi-1"].session_value.clear();
  nodes_["pi-1"].boot_id = "boot-2";
  Connect("pi-1");

  EXPECT_EQ(Node("pi-1").state, NodeState::kReady);
  EXPECT_THAT(EventTypes(), Contains("node.session_lost"));
}

TEST_F(SessionsTest, ANodeFarBeyondTheEpochIsSaidOnce) {
  AddNode("pi-1");
  nodes_["pi-1"].version = {.epoch = 5'000'000, .generation = 1};
  for (int i = 0; i < 3; ++i) {
    Disconnect("pi-1");
    Connect("pi-1");
  }

  EXPECT_EQ(coordinator_->state().cluster().epoch, 1u);
  const std::vector<std::string> types = EventTypes();
  EXPECT_EQ(std::count(types.begin(), types.end(), "node.epoch_refused"), 1);
}

TEST_F(SessionsTest, NodesThatWereDeadForWeeksDoNotFreezeAPoolWhenTheControllerStarts) {
  AddImage();
  for (int i = 1; i <= 6; ++i) {
    AddNode("pi-" + std::to_string(i));
  }
  const std::vector<std::string> alive = {"pi-4", "pi-5", "pi-6"};
  for (const char* lost : {"pi-1", "pi-2", "pi-3"}) {
    Disconnect(lost);
  }
  PassWithHeartbeats(std::chrono::minutes(20), alive);
  ASSERT_THAT(EventTypes(), Contains("cluster.moves_frozen"));
  ASSERT_TRUE(Do([&](WriteDone done) {
                coordinator_->cluster().AllowMoves(Admin(), {}, std::move(done));
              }).ok());
  PassWithHeartbeats(std::chrono::minutes(2), alive);
  auto frozen = [this] {
    return json::parse(*coordinator_->cluster().Get(Admin())->body).at("moves_frozen").as_bool();
  };
  ASSERT_FALSE(frozen());

  Restart();
  for (const std::string& name : alive) {
    Connect(name);
  }
  PassWithHeartbeats(std::chrono::minutes(3), alive);
  EXPECT_FALSE(frozen());
}

TEST_F(SessionsTest, AFrozenPoolIsFrozenAgainAfterAStart) {
  for (int i = 1; i <= 6; ++i) {
    AddNode("pi-" + std::to_string(i));
  }
  const std::vector<std::string> alive = {"pi-4", "pi-5", "pi-6"};
  for (const char* lost : {"pi-1", "pi-2", "pi-3"}) {
    Disconnect(lost);
  }
  PassWithHeartbeats(std::chrono::minutes(40), alive);
  Restart();
  for (const std::string& name : alive) {
    Connect(name);
  }
  PassWithHeartbeats(std::chrono::minutes(3), alive);
  EXPECT_TRUE(
      json::parse(*coordinator_->cluster().Get(Admin())->body).at("moves_frozen").as_bool());
}

TEST_F(SessionsTest, AOneShotThatHadEndedDoesNotRunAgainElsewhere) {
  AddImage();
  AddNode("pi-1");
  CreateContainer request = Request("job", /*movable=*/true);
  request.spec.restart.policy = api::RestartPolicy::kNever;
  ASSERT_TRUE(Create(request).ok());
  ReportAll("pi-1");
  AddNode("pi-2");
  PlayedNode& node = nodes_["pi-1"];
  api::ObservedContainer ended =
      Observed(node.containers.begin()->second, api::ContainerState::kStopped);
  ended.exit_code = 0;
  coordinator_->sessions().OnMessage(node.link,
                                     api::Report{.version = node.version, .containers = {ended}});
  Settle();
  Disconnect("pi-1");
  PassWithHeartbeats(std::chrono::minutes(20), {"pi-2"});

  EXPECT_EQ(Home("job"), "pi-1");
  EXPECT_TRUE(nodes_["pi-2"].containers.empty());
}

}  // namespace
}  // namespace bramble::controller
