// SPDX-License-Identifier: Apache-2.0
#include "controller/coordinator_cluster.h"

#include "controller/coordinator_fixture.h"

namespace bramble::controller {
namespace {

using testing::HasSubstr;
using testing::Not;

class ClusterTest : public CoordinatorTest {
 protected:
  using Call = std::function<void(WriteDone)>;

  // A write of each kind to each subject.
  static std::vector<Call> EveryWrite(Coordinator& all, const Principal& who,
                                      const std::string& operation, const std::string& token) {
    return {
        [=, &all](WriteDone d) { all.containers().Create(who, Request("x"), {}, d); },
        [=, &all](WriteDone d) { all.containers().Update(who, {"web"}, json::object(), {}, d); },
        [=, &all](WriteDone d) { all.containers().Act(who, {"web"}, ContainerVerb::kStop, {}, d); },
        [=, &all](WriteDone d) { all.containers().Delete(who, {"web"}, {}, d); },
        [=, &all](WriteDone d) { all.nodes().Approve(who, "pi-1", "1", {}, d); },
        [=, &all](WriteDone d) { all.nodes().Update(who, "pi-1", json::object(), {}, d); },
        [=, &all](WriteDone d) { all.nodes().Drain(who, "pi-1", {}, {}, d); },
        [=, &all](WriteDone d) { all.nodes().Restore(who, "pi-1", {}, d); },
        [=, &all](WriteDone d) { all.nodes().Remove(who, "pi-1", true, {}, d); },
        [=, &all](WriteDone d) { all.nodes().Reset(who, "pi-1", {}, d); },
        [=, &all](WriteDone d) { all.nodes().Replace(who, "pi-1", "pi-1", {}, d); },
        [=, &all](WriteDone d) { all.nodes().Command(who, "pi-1", "reboot", {}, {}, d); },
        [=, &all](WriteDone d) {
          all.images().Add(
              who, {.name = "i", .variant = {.architecture = "amd64", .digest = Sha256("x").Hex()}},
              {}, d);
        },
        [=, &all](WriteDone d) { all.images().Tag(who, "busybox", "b:2", {}, d); },
        [=, &all](WriteDone d) { all.images().Delete(who, "busybox", {}, d); },
        [=, &all](WriteDone d) {
          all.flavors().Create(
              who,
              {.name = FlavorName::Trusted("f"), .resources = {.cpu = {1}, .memory = {64 * kMiB}}},
              {}, d);
        },
        [=, &all](WriteDone d) { all.flavors().Delete(who, "small", {}, d); },
        [=, &all](WriteDone d) { all.tokens().Create(who, {}, {}, d); },
        [=, &all](WriteDone d) { all.tokens().Revoke(who, token, {}, d); },
        [=, &all](WriteDone d) { all.operations().Cancel(who, operation, {}, d); },
        [=, &all](WriteDone d) { all.cluster().LeaveAdoption(who, {}, d); },
        [=, &all](WriteDone d) { all.cluster().AllowMoves(who, {}, d); },
    };
  }
  absl::StatusOr<Written> Init(const std::string& code, const std::string& name = "") {
    return Do([&](WriteDone done) {
      coordinator_->cluster().Init({.setup_code = code, .name = name}, std::move(done));
    });
  }
  std::string InitAndGetToken() {
    const auto written = Init(coordinator_->cluster().SetupCode());
    return std::string(json::parse(*written.value().object).at("token").as_string());
  }
};

TEST_F(ClusterTest, AnotherServerCertificateIsShownAndAnEvent) {
  coordinator_->cluster().NoteCertificate({.sha256 = "abc123", .why = "another name: lab"});
  Settle();

  const EventRecord& event = coordinator_->state().events().back();
  EXPECT_EQ(event.type, "cluster.certificate_renewed");
  EXPECT_THAT(*event.body, HasSubstr("the server certificate is abc123: another name: lab"));
  const auto shown = coordinator_->cluster().Get(Admin());
  ASSERT_TRUE(shown.ok()) << shown.status();
  EXPECT_THAT(*shown->body, HasSubstr("\"certificate_sha256\":\"abc123\""));
}

TEST_F(ClusterTest, TheSetUpCodeWorksOnceAndMakesTheAdministrator) {
  const std::string code = coordinator_->cluster().SetupCode();
  ASSERT_FALSE(code.empty());
  EXPECT_EQ(Init("wrong").status().code(), absl::StatusCode::kPermissionDenied);
  const std::string token = InitAndGetToken();

  const auto who = coordinator_->Authenticate(token);
  ASSERT_TRUE(who.ok()) << who.status();
  EXPECT_EQ(who->Actor(), "user:admin");
  EXPECT_EQ(who->role, Role::kAdmin);
  EXPECT_EQ(Init(code).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(coordinator_->cluster().SetupCode(), "");
  Restart();
  EXPECT_TRUE(coordinator_->Authenticate(token).ok());
  EXPECT_EQ(coordinator_->cluster().SetupCode(), "");
}

TEST_F(ClusterTest, TheSetUpCodeRunsOutByTimeAndByAttempts) {
  const std::string code = coordinator_->cluster().SetupCode();
  clock_.Advance(std::chrono::minutes(30));
  EXPECT_EQ(Init(code).status().code(), absl::StatusCode::kPermissionDenied);

  Restart();
  const std::string second = coordinator_->cluster().SetupCode();
  EXPECT_NE(second, code);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Init("guess").status().code(), absl::StatusCode::kPermissionDenied);
  }
  EXPECT_EQ(Init(second).status().code(), absl::StatusCode::kPermissionDenied);
  Restart();
  EXPECT_TRUE(Init(coordinator_->cluster().SetupCode()).ok());
}

TEST_F(ClusterTest, NobodyElseIsAuthenticated) {
  const std::string token = InitAndGetToken();
  for (const std::string& bearer : {std::string(), std::string("brmu1."), token + "x",
                                    token.substr(0, token.size() - 1), std::string(10000, 'a')}) {
    EXPECT_EQ(coordinator_->Authenticate(bearer).status().code(),
              absl::StatusCode::kUnauthenticated);
  }
}

TEST_F(ClusterTest, NoSecretIsStored) {
  const std::string token = InitAndGetToken();
  const std::string join = TokenText();
  const std::string secret = api::ParseJoinToken(join).value().secret;
  for (const Row& row : store_.Save().snapshot.rows) {
    EXPECT_THAT(row.doc, Not(HasSubstr(token.substr(6))));
    EXPECT_THAT(row.doc, Not(HasSubstr(HexEncode(secret))));
    EXPECT_THAT(row.doc, Not(HasSubstr(Base64UrlEncode(secret))));
  }
}

TEST_F(ClusterTest, EveryWriteHasItsAuditRow) {
  AddImage();
  AddNode("pi-1");
  ASSERT_TRUE(Create(Request("web")).ok());
  const std::string operation = coordinator_->state().operations().entries().begin()->first;
  const std::string token = coordinator_->state().tokens().entries().begin()->first;
  auto rows_of_admin = [this] {
    return std::count_if(store_.audit().begin(), store_.audit().end(), [](const AuditRow& row) {
      return row.actor == "user:admin" && !row.action.empty();
    });
  };
  int done = 0;
  for (const Call& call : EveryWrite(*coordinator_, Admin(), operation, token)) {
    const auto before = rows_of_admin();
    const uint64_t revision = coordinator_->state().revision();
    const bool ok = Do(call).ok();
    done += ok ? 1 : 0;
    EXPECT_EQ(rows_of_admin() - before, ok ? 1 : 0) << "a write after revision " << revision;
  }
  EXPECT_GE(done, 12);
}

TEST_F(ClusterTest, AnAuditRowSaysWhoDidWhatToWhat) {
  AddImage();
  const size_t before = store_.audit().size();
  ASSERT_TRUE(Create(Request("web")).ok());

  ASSERT_GT(store_.audit().size(), before);
  const AuditRow& row = store_.audit()[before];
  EXPECT_EQ(row.actor, "user:admin");
  EXPECT_EQ(row.action, "container.create");
  EXPECT_EQ(row.object_name, "web");
}

TEST_F(ClusterTest, FlavorsAreMadeAndDeletedButNotTheShippedOnes) {
  auto create = [&](const std::string& name, int64_t cpu) {
    return Do([&](WriteDone done) {
      coordinator_->flavors().Create(
          Admin(),
          {.name = FlavorName::Trusted(name), .resources = {.cpu = {cpu}, .memory = {64 * kMiB}}},
          {}, std::move(done));
    });
  };
  auto remove = [&](const std::string& name) {
    return Do([&](WriteDone done) {
      coordinator_->flavors().Delete(Admin(), name, {}, std::move(done));
    });
  };
  ASSERT_TRUE(create("tiny", 100).ok());
  EXPECT_EQ(create("tiny", 100).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(create("none", 0).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(remove("small").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(remove("tiny").ok());
  EXPECT_EQ(remove("tiny").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(coordinator_->state().flavors().size(), api::BuiltinFlavors().size());
}

TEST_F(ClusterTest, AnImageInUseStaysAndItsVariantsAndTagsFollow) {
  AddImage("busybox", "amd64");
  AddImage("busybox", "arm64");
  ASSERT_TRUE(Do([&](WriteDone done) {
                coordinator_->images().Tag(Admin(), "busybox", "busybox:1.36", {}, std::move(done));
              }).ok());
  const ImageRecord* tagged = coordinator_->state().FindImage("default", "busybox:1.36");
  ASSERT_NE(tagged, nullptr);
  EXPECT_EQ(tagged->api.variants.size(), 2u);
  ASSERT_TRUE(Create(Request("web")).ok());
  auto remove = [&](const std::string& name) {
    return Do(
        [&](WriteDone done) { coordinator_->images().Delete(Admin(), name, {}, std::move(done)); });
  };
  EXPECT_THAT(std::string(remove("busybox").status().message()), HasSubstr("web"));
  EXPECT_TRUE(remove("busybox:1.36").ok());
  ASSERT_TRUE(Delete("web").ok());
  EXPECT_TRUE(remove("busybox").ok());
  EXPECT_TRUE(coordinator_->images().UsedDigests().empty());
  for (const char* bad : {"../x", "a b", ""}) {
    const auto added = Do([&](WriteDone done) {
      coordinator_->images().Add(
          Admin(), {.name = bad, .variant = {.architecture = "amd64", .digest = Sha256("x").Hex()}},
          {}, std::move(done));
    });
    EXPECT_EQ(added.status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST_F(ClusterTest, EventsArriveInOrderOnlyWhenDurableAndOldOnesAreGone) {
  AddImage();
  int woken = 0;
  auto subscription = coordinator_->events().Subscribe([&] { ++woken; });
  const uint64_t start = coordinator_->events().Newest();
  auto [answer, done] = Expect();
  coordinator_->containers().Create(Admin(), Request("web"), {}, done);
  EXPECT_TRUE(coordinator_->events().Since(Admin(), start, 100)->empty());
  Settle();
  const auto seen = coordinator_->events().Since(Admin(), start, 100);
  ASSERT_TRUE(seen.ok());
  ASSERT_FALSE(seen->empty());
  EXPECT_EQ(seen->front().type, "container.created");
  EXPECT_GT(woken, 0);
  EXPECT_TRUE(coordinator_->events().Since(Stranger(), start, 100)->empty());

  subscription.reset();
  const int before = woken;
  for (size_t i = 0; i < kStoredEvents / 2 + 100; ++i) {
    auto [write_answer, write_done] = Expect();
    coordinator_->images().Tag(Admin(), "busybox", "other", {}, write_done);
    coordinator_->images().Tag(
        Admin(), "busybox", "other2", {}, write_done = [](auto) {});
    store_.RunPending();
  }
  EXPECT_EQ(woken, before);
  EXPECT_EQ(coordinator_->events().Since(Admin(), start, 10).status().code(),
            absl::StatusCode::kOutOfRange);
  EXPECT_TRUE(coordinator_->events().Since(Admin(), coordinator_->events().Newest(), 10)->empty());
}

TEST_F(ClusterTest, EveryWriteOfEverySubjectIsRefusedToWhoMayNot) {
  AddImage();
  AddNode("pi-1");
  ASSERT_TRUE(Create(Request("web")).ok());
  const uint64_t revision = coordinator_->state().revision();
  Coordinator& all = *coordinator_;
  const std::string operation = all.state().operations().entries().begin()->first;
  const std::string token = all.state().tokens().entries().begin()->first;
  Principal reader{.kind = PrincipalKind::kUser, .name = "r", .role = Role::kReader};
  reader.projects = {ProjectName::Trusted("default")};
  const Principal node = Principal::Node(nodes_["pi-1"].id, NodeName::Trusted("pi-1"));
  for (const Principal& who : {Stranger(), reader, node, Principal{}}) {
    const std::vector<Call> calls = EveryWrite(all, who, operation, token);
    for (const Call& call : calls) {
      absl::Status answer;
      call([&](absl::StatusOr<Written> written) { answer = written.status(); });
      EXPECT_TRUE(absl::IsNotFound(answer) || absl::IsPermissionDenied(answer))
          << who.Actor() << " call " << (&call - calls.data()) << ": " << answer;
    }
    const bool reads = who.role == Role::kReader;
    EXPECT_EQ(all.containers().Get(who, {"web"}).ok(), reads);
    EXPECT_EQ(all.images().Get(who, "busybox").ok(), reads);
    EXPECT_EQ(all.operations().Get(who, operation).ok(), reads);
    EXPECT_FALSE(all.nodes().Get(who, "pi-1").ok());
    EXPECT_FALSE(all.tokens().Get(who, token).ok());
  }
  EXPECT_EQ(all.state().revision(), revision);
}

}  // namespace
}  // namespace bramble::controller
