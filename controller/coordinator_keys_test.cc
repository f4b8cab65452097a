// SPDX-License-Identifier: Apache-2.0
// ssh keys by name, and what containers are told at their first start.
#include "controller/coordinator_keys.h"

#include "controller/coordinator_fixture.h"

namespace bramble::controller {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kAda[] =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFehgrrWBv7nn74gfCImceREzxN1bo4x1Ew3NdtWKAWQ"
    " ada@lab";

class KeysTest : public CoordinatorTest {
 protected:
  void SetUp() override {
    AddNode("pi-1");
    AddNode("pi-2");
    AddImage();
  }
  absl::StatusOr<Written> AddKeyOf(const Principal& who, const std::string& name,
                                   const std::string& text) {
    return Do([&](WriteDone done) {
      coordinator_->keys().Add(who, {.name = name, .public_key = text}, {}, std::move(done));
    });
  }
  absl::StatusOr<Written> DeleteKey(const std::string& name) {
    return Do([&](WriteDone done) {
      coordinator_->keys().Delete(Admin(), {.name = name}, {}, std::move(done));
    });
  }
  CreateContainer Telling(const std::string& name, api::Context context) {
    CreateContainer request = Request(name);
    request.spec.placement.node = "pi-1";
    request.context = std::move(context);
    return request;
  }
  const api::NodeContainer& Told(const std::string& container) {
    return nodes_["pi-1"].containers.at(Container(container).id.str());
  }
};

TEST_F(KeysTest, AKeyIsKeptWithItsFingerprintAndOverARestart) {
  const auto added = AddKeyOf(Admin(), "ada", StrCat(kAda, "\n"));

  ASSERT_TRUE(added.ok()) << added.status();
  const json::value body = json::parse(*added->object);
  EXPECT_EQ(body.at("fingerprint"), "SHA256:veqXWwBCto2QAoAGct89IoyxlEX+OtDe2HroDhpwuMk");
  EXPECT_EQ(body.at("comment"), "ada@lab");
  Restart();
  EXPECT_TRUE(coordinator_->keys().Get(Admin(), {.name = "ada"}).ok());
  EXPECT_TRUE(DeleteKey("ada").ok());
  EXPECT_TRUE(absl::IsNotFound(DeleteKey("ada").status()));
}

TEST_F(KeysTest, WhatIsNoKeyTwiceThereOrAStrangersIsRefused) {
  ASSERT_TRUE(AddKeyOf(Admin(), "ada", kAda).ok());

  EXPECT_TRUE(absl::IsAlreadyExists(AddKeyOf(Admin(), "ada", kAda).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(AddKeyOf(Admin(), "bob", "ssh-ed25519 AAAA").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(AddKeyOf(Admin(), "B O B", kAda).status()));
  EXPECT_TRUE(absl::IsNotFound(AddKeyOf(Stranger(), "eve", kAda).status()));
  EXPECT_TRUE(absl::IsNotFound(coordinator_->keys().Get(Stranger(), {.name = "ada"}).status()));
}

TEST_F(KeysTest, OnlyTheNodeOfTheContainerIsGivenWhatItIsTold) {
  ASSERT_TRUE(AddKeyOf(Admin(), "ada", kAda).ok());
  const auto created = Create(Telling(
      "web", {.user_data = "#!/bin/sh\n", .keys = {"ada"}, .secrets = {{"db", "canary-7319"}}}));
  ASSERT_TRUE(created.ok()) << created.status();

  const std::string id = Told("web").context;
  ASSERT_FALSE(id.empty());
  const auto text = coordinator_->sessions().ContextFor(nodes_["pi-1"].id, id);
  ASSERT_TRUE(text.ok()) << text.status();
  const auto context =
      api::ContextFromJson(json::parse(*text), "context", UnknownKeys::kIgnore).value();
  EXPECT_THAT(context.authorized_keys, ElementsAre(kAda));
  EXPECT_EQ(context.secrets.at("db"), "canary-7319");
  EXPECT_TRUE(
      absl::IsNotFound(coordinator_->sessions().ContextFor(nodes_["pi-2"].id, id).status()));
  EXPECT_TRUE(
      absl::IsNotFound(coordinator_->sessions().ContextFor(nodes_["pi-1"].id, "other").status()));

  // It outlives the key, a restart and a rebuild, and goes with the container.
  ASSERT_TRUE(DeleteKey("ada").ok());
  Restart();
  EXPECT_TRUE(coordinator_->sessions().ContextFor(nodes_["pi-1"].id, id).ok());
  EXPECT_EQ(coordinator_->state().contexts().size(), 1u);
}

TEST_F(KeysTest, NothingThatPeopleSeeHoldsASecret) {
  const auto created = Create(Telling("web", {.user_data = "canary-7319",
                                              .variables = {{"ONEAPP_PASSWORD", "canary-7319"}},
                                              .secrets = {{"db", "canary-7319"}}}));
  ASSERT_TRUE(created.ok()) << created.status();

  const std::string canaries[] = {"canary-7319", Base64Encode("canary-7319")};
  std::string seen = StrCat(*created->object, *created->operation);
  seen += *coordinator_->containers().Get(Admin(), {.name_or_id = "web"}).value().body;
  seen += *coordinator_->containers().List(Admin(), {}).value().body;
  for (const EventRecord& event : coordinator_->state().events()) {
    seen += *event.body;
  }
  seen += json::serialize(api::ToJson(Told("web")));
  for (const std::string& canary : canaries) {
    EXPECT_THAT(seen, Not(HasSubstr(canary)));
  }
  EXPECT_THAT(seen, HasSubstr("ONEAPP_PASSWORD"));
}

TEST_F(KeysTest, AnUnknownKeyIsNamed) {
  const auto created = Create(Telling("web", {.keys = {"ada"}}));

  EXPECT_TRUE(absl::IsNotFound(created.status()));
  EXPECT_THAT(std::string(created.status().message()), HasSubstr("key \"ada\""));
  EXPECT_EQ(coordinator_->state().contexts().size(), 0u);
}

TEST_F(KeysTest, TheContextGoesWithItsContainer) {
  ASSERT_TRUE(Create(Telling("web", {.user_data = "x"})).ok());
  const std::string id = Told("web").context;
  ReportAll("pi-1");

  ASSERT_TRUE(Do([&](WriteDone done) {
                coordinator_->containers().Delete(Admin(), {.name_or_id = "web"}, {},
                                                  std::move(done));
              }).ok());
  ReportAll("pi-1");

  EXPECT_FALSE(Exists("web"));
  EXPECT_EQ(coordinator_->state().contexts().size(), 0u);
  EXPECT_TRUE(
      absl::IsNotFound(coordinator_->sessions().ContextFor(nodes_["pi-1"].id, id).status()));
}

}  // namespace
}  // namespace bramble::controller
