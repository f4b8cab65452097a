// SPDX-License-Identifier: Apache-2.0
#include "controller/model/state.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bramble::controller {
namespace {

NodeRecord MakeNode(const std::string& id, const std::string& name) {
  NodeRecord node;
  node.api.id = NodeId::Trusted(id);
  node.api.name = NodeName::Trusted(name);
  node.key_sha256 = "key-" + id;
  return node;
}

ContainerRecord MakeContainer(const std::string& id, const std::string& name,
                              const std::string& node) {
  ContainerRecord container;
  container.api.id = ContainerId::Trusted(id);
  container.api.name = ContainerName::Trusted(name);
  container.api.project = ProjectName::Trusted("default");
  container.api.status.node_id = NodeId::Trusted(node);
  container.api.spec.limits = {.cpu = {100}, .memory = {64 * kMiB}};
  return container;
}

TEST(StateTest, FindsByNameAndByIdAndForgetsOldNames) {
  State state;
  state.Put(MakeContainer("c1", "web", ""), 1);
  state.Put(MakeContainer("c1", "shop", ""), 2);

  EXPECT_EQ(state.FindContainer("default", "web"), nullptr);
  EXPECT_NE(state.FindContainer("default", "shop"), nullptr);
  EXPECT_NE(state.FindContainer("default", "c1"), nullptr);
  EXPECT_EQ(state.FindContainer("other", "c1"), nullptr) << "another project's id is not found";
}

ImageRecord MakeImage(const std::string& id, const std::string& project, const std::string& name) {
  ImageRecord image;
  image.api.id = ImageId::Trusted(id);
  image.api.project = ProjectName::Trusted(project);
  image.api.name = name;
  return image;
}

TEST(StateTest, AnImageIsFoundByItsAliasesUntilTheyAreTakenAway) {
  State state;
  ImageRecord image = MakeImage("i1", "default", "debian");
  image.api.aliases = {"stable:latest", "bookworm:12"};
  state.Put(image, 1);
  for (const char* name : {"debian", "debian:latest", "stable", "bookworm:12", "i1"}) {
    ASSERT_NE(state.FindImage("default", name), nullptr) << name;
  }
  EXPECT_EQ(state.FindImage("default", "bookworm"), nullptr) << "of that tag only";

  image.api.aliases = {"bookworm:12"};
  state.Put(image, 2);
  EXPECT_EQ(state.FindImage("default", "stable"), nullptr);
  EXPECT_NE(state.FindImage("default", "bookworm:12"), nullptr);
  state.Erase(RowKind::kImage, "i1", 3);
  EXPECT_EQ(state.FindImage("default", "bookworm:12"), nullptr);
}

TEST(StateTest, APrivateImageIsItsProjectsAndAPublicOneEverybodys) {
  State state;
  ImageRecord theirs = MakeImage("i1", "lesson", "debian");
  state.Put(theirs, 1);
  EXPECT_EQ(state.FindImage("default", "debian"), nullptr);
  EXPECT_EQ(state.FindImage("default", "i1"), nullptr) << "nor by its id";

  theirs.api.visibility = api::Visibility::kPublic;
  theirs.api.aliases = {"stable:latest"};
  state.Put(theirs, 2);
  ASSERT_NE(state.FindImage("default", "debian"), nullptr);
  EXPECT_NE(state.FindImage("default", "stable"), nullptr);
  EXPECT_NE(state.FindImage("default", "i1"), nullptr);
  EXPECT_EQ(state.FindImage("default", "debia"), nullptr);

  state.Put(MakeImage("i2", "default", "debian"), 3);
  EXPECT_EQ(state.FindImage("default", "debian")->api.id.str(), "i2") << "one's own comes first";
  state.Erase(RowKind::kImage, "i2", 4);
  EXPECT_EQ(state.FindImage("default", "debian")->api.id.str(), "i1");

  theirs.api.visibility = api::Visibility::kPrivate;
  state.Put(theirs, 5);
  EXPECT_EQ(state.FindImage("default", "debian"), nullptr);
  EXPECT_EQ(state.FindImage("default", "stable"), nullptr);
}

TEST(StateTest, ANameGivenAwayIsNotForgottenWithItsFirstOwner) {
  State state;
  state.Put(MakeNode("n1", "pi-1"), 1);
  state.Put(MakeNode("n1", "pi-old"), 2);
  state.Put(MakeNode("n2", "pi-1"), 3);
  state.Erase(RowKind::kNode, "n1", 4);

  ASSERT_NE(state.FindNode("pi-1"), nullptr);
  EXPECT_EQ(state.FindNode("pi-1")->api.id.str(), "n2");
  EXPECT_EQ(state.FindNodeByKey("key-n1"), nullptr);
}

TEST(StateTest, CountsWhatANodesContainersMayUse) {
  State state;
  state.Put(MakeNode("n1", "pi-1"), 1);
  state.Put(MakeContainer("c1", "a", "n1"), 2);
  state.Put(MakeContainer("c2", "b", "n1"), 3);
  state.Put(MakeNode("n1", "pi-1"), 4);
  state.Put(MakeContainer("c2", "b", ""), 5);

  EXPECT_EQ(state.FindNode("pi-1")->api.container_count, 1);
  EXPECT_EQ(state.FindNode("pi-1")->api.allocated.memory.count, 64 * kMiB);
  EXPECT_THAT(state.Pending(), testing::ElementsAre("c2"));
  state.Erase(RowKind::kContainer, "c1", 6);
  EXPECT_EQ(state.FindNode("pi-1")->api.container_count, 0);
}

TEST(StateTest, AChangeDropsTheRenderingOfExactlyThatObject) {
  State state;
  state.Put(MakeContainer("c1", "a", ""), 1);
  state.Put(MakeContainer("c2", "b", ""), 1);
  state.containers().FindEntry("c1")->body = std::make_shared<const std::string>("1");
  state.containers().FindEntry("c2")->body = std::make_shared<const std::string>("2");
  state.Put(MakeContainer("c1", "a", ""), 2);

  EXPECT_EQ(state.containers().FindEntry("c1")->body, nullptr);
  EXPECT_NE(state.containers().FindEntry("c2")->body, nullptr);
}

TEST(StateTest, KeepsTheNewestEventsAndKnowsWhatIsGone) {
  State state;
  for (uint64_t revision = 1; revision <= 5; ++revision) {
    state.AddEvent({.revision = revision}, 3);
  }

  EXPECT_EQ(state.events().front().revision, 3u);
  EXPECT_EQ(state.events_begin(), 2u);
}

}  // namespace
}  // namespace bramble::controller
