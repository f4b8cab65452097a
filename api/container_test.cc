// SPDX-License-Identifier: Apache-2.0
#include "api/container.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bramble::api {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<ContainerSpec> Read(std::string_view text) {
  return ContainerSpecFromJson(ParseJson(text).value(), "container", UnknownKeys::kRefuse);
}

ContainerSpec FullSpec() {
  return {.image = "debian:12",
          .flavor = "small",
          .limits = {.cpu = {500}, .memory = {64 * kMiB}, .disk = {32 * kMiB}, .pids = 99},
          .cpu_weight = 200,
          .swap = {kMiB},
          .desired = DesiredState::kFrozen,
          .placement = {.placement_class = PlacementClass::kMovable,
                        .node = "pi-1",
                        .required = {{.key = "disk", .values = {"ssd"}}},
                        .preferred = {{.key = "fast", .op = LabelOperator::kExists, .weight = 7}},
                        .avoid = {"db"},
                        .spread = {{"app", "web"}}},
          .restart = {.policy = RestartPolicy::kOnFailure, .max_retries = 3},
          .autostart_order = -5,
          .stop_grace_s = 20,
          .labels = {{"app", "web"}},
          .environment = {{"A", "b c"}},
          .restart_count = 2,
          .rebuild_count = 1};
}

TEST(ContainerCodecTest, ASpecGoesToJsonAndBack) {
  const ContainerSpec spec = FullSpec();
  EXPECT_EQ(ContainerSpecFromJson(ToJson(spec), "container", UnknownKeys::kRefuse).value(), spec);
  const ContainerSpec plain{.image = "busybox"};
  EXPECT_EQ(ContainerSpecFromJson(ToJson(plain), "container", UnknownKeys::kRefuse).value().image,
            "busybox");
}

TEST(ContainerCodecTest, AContainerGoesToJsonAndBack) {
  Container container{
      .id = ContainerId::Trusted("c1"),
      .name = ContainerName::Trusted("web"),
      .project = ProjectName::Trusted("default"),
      .generation = 7,
      .created_at = WallTime(std::chrono::seconds(1'700'000'000)),
      .deleting = true,
      .spec = FullSpec(),
      .status = {.state = ContainerState::kRunning,
                 .reason = "r",
                 .node_id = NodeId::Trusted("n1"),
                 .node = "pi-1",
                 .address = "172.16.0.64",
                 .mac = "02:00:00:00:00:01",
                 .image_digest = std::string(64, 'a'),
                 .architecture = "arm64",
                 .started_at = WallTime(std::chrono::seconds(1'700'000'001)),
                 .exit_code = 3,
                 .restarts = 4,
                 .observed_generation = 6,
                 .disk_limit_mode = "loop-file",
                 .conditions = {{.type = "swap", .severity = "warning", .message = "m"}}}};

  const Container copy = ContainerFromJson(ToJson(container)).value();

  EXPECT_EQ(ToJson(copy), ToJson(container));
  EXPECT_EQ(copy.status, container.status);
  EXPECT_EQ(copy.spec, container.spec);
}

TEST(ContainerCodecTest, RefusesWithThePathOfWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({})", "container.image: missing"},
      {R"({"image":"a","colour":"red"})", "unknown field \"colour\""},
      {R"({"image":"a","limits":{"memory_bytes":1}})", "container.limits.memory_bytes: must be"},
      {R"({"image":"a","limits":{"memory":1}})", "container.limits: unknown field \"memory\""},
      {R"({"image":"a","limits":{"disk_bytes":5}})", "at least 16 MiB"},
      {R"({"image":"a","desired":"up"})", "expected one of running, stopped, frozen"},
      {R"({"image":"a","environment":{"A":"x\ny"}})", "control character"},
      {R"({"image":"a","environment":{"A=B":"x"}})", "must not be empty nor contain '='"},
      {R"({"image":"a","placement":{"node":"../etc"}})",
       "container.placement.node: node \"../etc\""},
      {R"({"image":"a","placement":{"required":["disk in "]}})", "label condition"},
      {R"({"image":"a","labels":{"A":"b"}})", "label key \"A\""},
      {R"({"image":"a","stop_grace_s":601})", "must be from 0 to 600"},
      {R"({"image":7})", "container.image: expected a string"},
  };
  for (const auto& [text, message] : cases) {
    EXPECT_THAT(std::string(Read(text).status().message()), HasSubstr(message)) << text;
  }
}

TEST(LabelTermTest, ReadsEveryFormThatTheCommandLineTakes) {
  const auto term = [](const char* text) { return ParseLabelTerm(text).value(); };
  EXPECT_EQ(term("disk=ssd"), (LabelTerm{.key = "disk", .values = {"ssd"}}));
  EXPECT_EQ(term("disk in ssd|nvme"), (LabelTerm{.key = "disk", .values = {"ssd", "nvme"}}));
  EXPECT_EQ(term("disk!=ssd"),
            (LabelTerm{.key = "disk", .op = LabelOperator::kNotIn, .values = {"ssd"}}));
  EXPECT_EQ(term("disk not in a|b"),
            (LabelTerm{.key = "disk", .op = LabelOperator::kNotIn, .values = {"a", "b"}}));
  EXPECT_EQ(term("disk"), (LabelTerm{.key = "disk", .op = LabelOperator::kExists}));
  EXPECT_EQ(term("!disk"), (LabelTerm{.key = "disk", .op = LabelOperator::kNotExists}));
  EXPECT_EQ(ToString(term("disk in ssd|nvme")), "disk=ssd|nvme");
  // Found by tests/fuzz/api_text_fuzz.cc.
  EXPECT_EQ(term("disk = a in b"), (LabelTerm{.key = "disk", .values = {"a in b"}}));
  EXPECT_EQ(term("disk in a=b|c not in d"),
            (LabelTerm{.key = "disk", .values = {"a=b", "c not in d"}}));
  EXPECT_EQ(term(ToString(term("disk in a in b")).c_str()), term("disk in a in b"));
  for (const char* bad : {"", "=", "disk=", "!", "disk in ", "a b", "DISK=x", "disk=a||b",
                          "disk=a\x01"
                          "b",
                          "!disk=a", "!disk in a", "disk inside"}) {
    EXPECT_FALSE(ParseLabelTerm(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace bramble::api
