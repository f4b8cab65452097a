// SPDX-License-Identifier: Apache-2.0
#include "controller/coordinator_containers.h"

#include "controller/coordinator_fixture.h"

namespace bramble::controller {
namespace {

using api::ContainerState;
using api::OperationState;
using testing::Contains;
using testing::HasSubstr;

class ContainersTest : public CoordinatorTest {};

TEST_F(ContainersTest, AContainerGoesFromCreatedToPlacedToRunningToGone) {
  AddNode("pi-1");
  AddImage();

  const auto created = Create(Request("web"));
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(Container("web").status.state, ContainerState::kPlaced);
  EXPECT_EQ(Container("web").status.node, "pi-1");
  EXPECT_EQ(Container("web").status.address, "172.16.0.64");
  ASSERT_EQ(nodes_["pi-1"].containers.size(), 1u);
  const api::NodeContainer told = nodes_["pi-1"].containers.begin()->second;
  EXPECT_EQ(told.address, "172.16.0.64/24");
  EXPECT_EQ(told.gateway, "172.16.0.1");
  EXPECT_EQ(told.spec.limits.memory.count, 64 * kMiB) << "of the flavor nano";
  EXPECT_EQ(told.image_digest, Sha256("busyboxamd64").Hex());

  ReportAll("pi-1", /*full=*/false);
  EXPECT_EQ(Container("web").status.state, ContainerState::kRunning);
  EXPECT_EQ(Operation(created->operation_id).state, OperationState::kSucceeded);

  const auto deleted = Delete("web");
  ASSERT_TRUE(deleted.ok());
  EXPECT_EQ(Container("web").status.state, ContainerState::kDeleting);
  EXPECT_EQ(nodes_["pi-1"].buried.size(), 1u);
  ReportAll("pi-1", /*full=*/false);
  EXPECT_FALSE(Exists("web"));
  EXPECT_EQ(Operation(deleted->operation_id).state, OperationState::kSucceeded);
  EXPECT_EQ(coordinator_->state().AddressOwner("172.16.0.64"), "");
}

TEST_F(ContainersTest, NothingIsAnsweredOrSentBeforeItIsDurable) {
  AddNode("pi-1");
  AddImage();
  const size_t sent = nodes_["pi-1"].desired.size();
  auto [answer, done] = Expect();

  coordinator_->containers().Create(Admin(), Request("web"), {}, done);
  coordinator_->Tick();
  Receive(nodes_["pi-1"]);

  EXPECT_FALSE(answer->has_value());
  EXPECT_EQ(nodes_["pi-1"].desired.size(), sent);
  EXPECT_EQ(coordinator_->events().Newest() + 1, coordinator_->state().revision());
  Settle();
  EXPECT_TRUE(answer->has_value());
  EXPECT_EQ(nodes_["pi-1"].desired.size(), sent + 1);
}

TEST_F(ContainersTest, APendingContainerSaysWhyAndIsPlacedWhenThereIsRoom) {
  AddImage();
  ASSERT_TRUE(Create(Request("web")).ok());

  EXPECT_EQ(Container("web").status.state, ContainerState::kPending);
  EXPECT_THAT(Container("web").status.reason, HasSubstr("node"));
  AddNode("pi-1");
  EXPECT_EQ(nodes_["pi-1"].containers.size(), 1u);
  EXPECT_EQ(Container("web").status.node, "pi-1");
  EXPECT_EQ(Container("web").status.reason, "");
}

TEST_F(ContainersTest, AContainerWaitsForACheckedAddressAndTakesNoneThatSomebodyUses) {
  prober_.in_use = {"172.16.0.64", "172.16.0.65"};
  Pass(std::chrono::minutes(11));
  Restart();
  AddNode("pi-1");
  AddImage();

  ASSERT_TRUE(Create(Request("web")).ok());

  EXPECT_EQ(Container("web").status.address, "172.16.0.66");
}

TEST_F(ContainersTest, EveryVerbChangesWhatTheNodeIsToldAndItsOperationEndsWhenReported) {
  struct Case {
    ContainerVerb verb;
    api::DesiredState desired;
    ContainerState reported;
    uint64_t restarts;
    uint64_t rebuilds;
  };
  const Case cases[] = {
      {ContainerVerb::kStop, api::DesiredState::kStopped, ContainerState::kStopped, 0, 0},
      {ContainerVerb::kStart, api::DesiredState::kRunning, ContainerState::kRunning, 0, 0},
      {ContainerVerb::kFreeze, api::DesiredState::kFrozen, ContainerState::kFrozen, 0, 0},
      {ContainerVerb::kUnfreeze, api::DesiredState::kRunning, ContainerState::kRunning, 0, 0},
      {ContainerVerb::kRestart, api::DesiredState::kRunning, ContainerState::kRunning, 1, 0},
      {ContainerVerb::kRebuild, api::DesiredState::kRunning, ContainerState::kRunning, 1, 1},
  };
  AddNode("pi-1");
  AddImage();
  ASSERT_TRUE(Create(Request("web")).ok());
  ReportAll("pi-1");
  for (const Case& row : cases) {
    const auto written = Act("web", row.verb);
    ASSERT_TRUE(written.ok()) << written.status();
    const api::NodeContainer& told = nodes_["pi-1"].containers.begin()->second;
    EXPECT_EQ(told.spec.desired, row.desired);
    EXPECT_EQ(told.spec.restart_count, row.restarts);
    EXPECT_EQ(told.spec.rebuild_count, row.rebuilds);
    EXPECT_EQ(Operation(written->operation_id).state, OperationState::kRunning);
    ReportAll("pi-1", false);
    EXPECT_EQ(Operation(written->operation_id).state, OperationState::kSucceeded);
    EXPECT_EQ(Container("web").status.state, row.reported);
  }
}

TEST_F(ContainersTest, AFailedContainerFailsItsOperationWithTheNodesReason) {
  AddNode("pi-1");
  AddImage();
  const auto created = Create(Request("web"));
  ReportState("pi-1", Container("web").id.str(), ContainerState::kFailed, "image: no /sbin/init");

  EXPECT_EQ(Operation(created->operation_id).state, OperationState::kFailed);
  EXPECT_THAT(Operation(created->operation_id).error, HasSubstr("no /sbin/init"));
}

TEST_F(ContainersTest, AChangeThatARunningContainerCannotTakeFailsItsOperationAndNothingElse) {
  AddNode("pi-1");
  AddImage();
  ASSERT_TRUE(Create(Request("web")).ok());
  ReportAll("pi-1");
  const auto changed = Do([&](WriteDone done) {
    coordinator_->containers().Update(Admin(), {"web"},
                                      json::parse(R"({"limits":{"memory_bytes":16777216}})"), {},
                                      std::move(done));
  });
  ASSERT_TRUE(changed.ok());
  Receive(nodes_["pi-1"]);
  ReportState("pi-1", Container("web").id.str(), ContainerState::kRunning,
              "the container uses 42 MiB of memory");

  EXPECT_EQ(Operation(changed->operation_id).state, OperationState::kFailed);
  EXPECT_THAT(Operation(changed->operation_id).error, HasSubstr("uses 42 MiB"));
  EXPECT_EQ(Container("web").status.state, ContainerState::kRunning);
}

TEST_F(ContainersTest, AContainerSaysWhatItRunsWithoutUntilItsNodeSaysOtherwise) {
  AddNode("pi-1");
  AddImage();
  ASSERT_TRUE(Create(Request("web")).ok());
  PlayedNode& node = nodes_["pi-1"];
  const auto report = [&](std::vector<api::Condition> conditions) {
    api::ObservedContainer observed =
        Observed(node.containers.begin()->second, ContainerState::kRunning);
    observed.conditions = std::move(conditions);
    coordinator_->sessions().OnMessage(
        node.link, api::Report{.version = node.version, .containers = {observed}});
    Settle();
  };

  const api::Condition swap{.type = "swap", .severity = "warning", .message = "not counted"};
  report({swap});
  EXPECT_THAT(Container("web").status.conditions, testing::ElementsAre(swap));
  Restart();
  EXPECT_THAT(Container("web").status.conditions, testing::ElementsAre(swap)) << "it is kept";
  Connect("pi-1");
  report({});
  EXPECT_THAT(Container("web").status.conditions, testing::IsEmpty());
}

TEST_F(ContainersTest, AnOperationThatIsNotDoneInTimeFails) {
  AddImage();
  const auto created = Create(Request("web"));
  Pass(std::chrono::seconds(605), std::chrono::seconds(5));

  EXPECT_EQ(Operation(created->operation_id).state, OperationState::kFailed);
  EXPECT_EQ(Operation(created->operation_id).error_code, "deadline_exceeded");
  EXPECT_TRUE(Exists("web")) << "the container stays";
}

TEST_F(ContainersTest, RefusesAStaleIfMatchAndLeavesEverythingAsItWas) {
  AddImage();
  ASSERT_TRUE(Create(Request("web")).ok());
  const uint64_t revision = coordinator_->state().revision();

  const auto stale = Act("web", ContainerVerb::kStop, {.if_match = 7});

  EXPECT_EQ(stale.status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(coordinator_->state().revision(), revision);
  EXPECT_TRUE(Act("web", ContainerVerb::kStop, {.if_match = 1}).ok());
}

TEST_F(ContainersTest, ARepeatedRequestWithTheSameKeyAnswersTheSameAndChangesNothing) {
  AddImage();
  const WriteOptions options{.idempotency_key = "k1", .request_fingerprint = "f1"};
  auto [first, first_done] = Expect();
  auto [second, second_done] = Expect();
  coordinator_->containers().Create(Admin(), Request("web"), options, first_done);
  coordinator_->containers().Create(Admin(), Request("web"), options, second_done);
  Settle();
  Restart();
  const auto third = Create(Request("web"), options);
  const auto other = Create(Request("web"), {.idempotency_key = "k1", .request_fingerprint = "f2"});
  const auto without = Create(Request("web"));

  ASSERT_TRUE(first->value().ok());
  ASSERT_TRUE(second->value().ok()) << "while the first was under way";
  ASSERT_TRUE(third.ok()) << "after a restart";
  EXPECT_EQ(*(**first)->object, *(**second)->object);
  EXPECT_EQ(*(**first)->operation, *third->operation);
  EXPECT_EQ(other.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(without.status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(ContainersTest, AnswersToKeyedWritesAreKeptForADayOrUntilTooManyCameAfterThem) {
  settings_.max_kept_answers = 10;
  Restart();
  AddImage();
  const auto options = [](int i) {
    return WriteOptions{.idempotency_key = StrCat("key", i), .request_fingerprint = "f"};
  };
  const auto web = [](int i) { return Request(StrCat("web", i)); };
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(Create(web(i), options(i)).ok());
  }
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(Create(web(i), options(i)).ok()) << "exactly at the limit every one is kept";
  }

  ASSERT_TRUE(Create(web(10), options(10)).ok()) << "beyond it no write is refused";
  EXPECT_EQ(coordinator_->state().idempotency().size(), 10u);
  Restart();
  EXPECT_EQ(coordinator_->state().idempotency().size(), 10u) << "as stored";
  for (int i = 1; i <= 10; ++i) {
    EXPECT_TRUE(Create(web(i), options(i)).ok()) << i;
  }
  EXPECT_EQ(Create(web(0), options(0)).status().code(), absl::StatusCode::kAlreadyExists)
      << "the oldest went: it is a new request, and judged as one";

  Pass(kIdempotencyKept, std::chrono::hours(1));
  EXPECT_EQ(coordinator_->state().idempotency().size(), 0u);
}

TEST_F(ContainersTest, AnUpdateMergesAndRefusesWhatCannotBe) {
  AddImage();
  ASSERT_TRUE(Create(Request("web")).ok());
  auto update = [&](const std::string& patch) {
    return Do([&](WriteDone done) {
      coordinator_->containers().Update(Admin(), {"web"}, json::parse(patch), {}, std::move(done));
    });
  };

  ASSERT_TRUE(update(R"({"labels":{"app":"shop"},"limits":{"memory_bytes":33554432}})").ok());
  EXPECT_EQ(Container("web").spec.labels.at("app"), "shop");
  EXPECT_EQ(Container("web").spec.limits.memory.count, 32 * kMiB);
  EXPECT_EQ(Container("web").spec.limits.cpu.count, 250) << "stays";
  ASSERT_TRUE(update(R"({"labels":{"app":null}})").ok());
  EXPECT_TRUE(Container("web").spec.labels.empty());
  EXPECT_EQ(Container("web").generation, 3u);

  for (const char* patch : {R"({"colour":"red"})", R"({"restart_count":9})", R"([])",
                            R"({"limits":{"memory_bytes":1}})", R"({"desired":"flying"})"}) {
    EXPECT_EQ(update(patch).status().code(), absl::StatusCode::kInvalidArgument) << patch;
  }
  EXPECT_EQ(update(R"({"image":"nothing"})").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Container("web").generation, 3u);
}

TEST_F(ContainersTest, DuplicatedAndReorderedReportsChangeNothing) {
  AddNode("pi-1");
  AddImage();
  ASSERT_TRUE(Create(Request("web")).ok());
  ReportAll("pi-1", false);
  const uint64_t revision = coordinator_->state().revision();
  ReportAll("pi-1", false);
  ReportAll("pi-1", false);

  EXPECT_EQ(coordinator_->state().revision(), revision);
  ASSERT_TRUE(Delete("web").ok());
  PlayedNode& node = nodes_["pi-1"];
  const ContainerId id = ContainerId::Trusted(node.buried.at(0));
  ReportAll("pi-1", false);
  coordinator_->sessions().OnMessage(node.link, api::Report{.removed = {id}});
  Settle();
  EXPECT_FALSE(Exists("web"));
}

TEST_F(ContainersTest, WhatIsForbiddenAndWhatIsUnknownAnswerTheSame) {
  AddImage();
  ASSERT_TRUE(Create(Request("web")).ok());
  auto& containers = coordinator_->containers();

  EXPECT_EQ(containers.Get(Stranger(), {"web"}).status(), NotFound("container", "web"));
  EXPECT_EQ(containers.Get(Admin(), {"nothing"}).status(), NotFound("container", "nothing"));
  EXPECT_EQ(*containers.List(Stranger(), {})->body, R"({"items":[]})");
  const auto deleted =
      Do([&](WriteDone done) { containers.Delete(Stranger(), {"web"}, {}, std::move(done)); });
  EXPECT_EQ(deleted.status(), NotFound("container", "web"));
  EXPECT_TRUE(Exists("web"));
  EXPECT_EQ(containers.Get(Principal::Node(NodeId(), NodeName()), {"web"}).status(),
            NotFound("container", "web"))
      << "nodes read nothing here";
}

TEST_F(ContainersTest, ListsPageAndFilter) {
  AddImage();
  for (int i = 0; i < 5; ++i) {
    CreateContainer request = Request("c" + std::to_string(i));
    request.spec.labels["n"] = std::to_string(i % 2);
    ASSERT_TRUE(Create(request).ok());
  }
  auto list = [&](ListQuery query) {
    return json::parse(*coordinator_->containers().List(Admin(), query).value().body);
  };

  const json::value first = list({.limit = 2});
  EXPECT_EQ(first.at("items").as_array().size(), 2u);
  const json::value second =
      list({.limit = 10, .cursor = std::string(first.at("next_cursor").as_string())});
  EXPECT_EQ(second.at("items").as_array().size(), 3u);
  EXPECT_FALSE(second.as_object().contains("next_cursor"));
  EXPECT_EQ(list({.filter = "label.n=1"}).at("items").as_array().size(), 2u);
  EXPECT_EQ(list({.filter = "label.n!=1,state=pending"}).at("items").as_array().size(), 3u);
  EXPECT_FALSE(coordinator_->containers().List(Admin(), {.filter = "size=1"}).ok());
}

TEST_F(ContainersTest, ACancelledCreationLeavesNothing) {
  AddImage();
  const auto created = Create(Request("web"));
  const auto cancelled = Do([&](WriteDone done) {
    coordinator_->operations().Cancel(Admin(), created->operation_id.str(), {}, std::move(done));
  });

  ASSERT_TRUE(cancelled.ok()) << cancelled.status();
  EXPECT_FALSE(Exists("web"));
  EXPECT_EQ(Operation(created->operation_id).state, OperationState::kCancelled);
}

TEST_F(ContainersTest, APlanExplainsEveryNodeAndChangesNothing) {
  AddNode("pi-1");
  AddNode("pi-2", "arm64");
  AddImage();
  const uint64_t revision = coordinator_->state().revision();

  const auto plan = coordinator_->containers().Plan(Admin(), Request("web"));

  ASSERT_TRUE(plan.ok()) << plan.status();
  const json::value body = json::parse(*plan->body);
  EXPECT_EQ(body.at("node").as_string(), "pi-1");
  ASSERT_EQ(body.at("nodes").as_array().size(), 2u);
  EXPECT_FALSE(body.at("nodes").at(1).at("fits").as_bool());
  EXPECT_EQ(coordinator_->state().revision(), revision);
}

}  // namespace
}  // namespace bramble::controller
