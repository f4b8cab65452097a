// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/runtime_spec_json.h"

#include <gmock/gmock.h>

namespace bramble::node {
namespace {

RuntimeSpec Spec() {
  RuntimeSpec spec;
  spec.id = ContainerId::Parse("c1").value();
  spec.name = ContainerName::Parse("web").value();
  spec.project = ProjectName::Parse("default").value();
  spec.hostname = "web";
  spec.generation = 9;
  spec.restart_count = 1;
  spec.rebuild_count = 2;
  spec.image_digest = std::string(64, 'a');
  spec.image_tree = "/var/lib/images/a/tree";
  spec.image_ids.first = 0x10000000;
  spec.ids.first = 0x20000000;
  spec.limits = {.memory = Bytes{64 * kMiB}, .cpu = MilliCpu{250}, .pids = 7, .disk = Bytes{kGiB}};
  spec.environment = {{"A", "b"}};
  spec.halt_signal = "SIGRTMIN+3";
  spec.stop_grace = std::chrono::seconds(30);
  spec.note = "{\"any\": \"text\n\"}";
  RuntimeNic nic;
  nic.bridge = "br0";
  nic.host_interface = "brc1";
  nic.mac = "02:42:ac:10:00:40";
  nic.address = Ipv4Interface::Parse("172.16.0.64/24").value();
  nic.gateway = Ipv4::Parse("172.16.0.1").value();
  nic.dns = {nic.gateway};
  nic.search_domain = "bramble.internal";
  nic.mtu = 1400;
  nic.floating = {Ipv4::Parse("172.16.0.230").value()};
  spec.nic = nic;
  return spec;
}

absl::Status StatusOfChange(const char* key, json::value value) {
  json::object object = ToJson(Spec());
  object[key] = std::move(value);
  return RuntimeSpecFromJson(object, "spec").status();
}

TEST(RuntimeSpecJsonTest, ReadsWhatItWrites) {
  const auto read = RuntimeSpecFromJson(ToJson(Spec()), "spec");

  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, Spec());
}

TEST(RuntimeSpecJsonTest, RefusesRangesThatReachTheHostsOwnIds) {
  EXPECT_FALSE(StatusOfChange("ids", json::object{{"first", 0}, {"count", 65536}}).ok());
  EXPECT_FALSE(StatusOfChange("ids", json::object{{"first", 1000}, {"count", 65536}}).ok());
  EXPECT_FALSE(StatusOfChange("ids", json::object{{"first", 1000000}, {"count", 1}}).ok());
  EXPECT_FALSE(StatusOfChange("ids", json::object{{"first", 4294967295}, {"count", 65536}}).ok());
}

TEST(RuntimeSpecJsonTest, RefusesIdsAndNamesThatLeadElsewhere) {
  EXPECT_FALSE(StatusOfChange("id", "../c1").ok());
  EXPECT_FALSE(StatusOfChange("id", "").ok());
  EXPECT_FALSE(StatusOfChange("hostname", "a/b").ok());
  EXPECT_FALSE(StatusOfChange("hostname", "a\nb").ok());
  EXPECT_FALSE(StatusOfChange("environment", json::object{{"A", "b\n"}}).ok());
}

TEST(RuntimeSpecJsonTest, ReadsAContainerThatIsBrokenWithoutItsSpec) {
  RuntimeContainer container;
  container.spec.id = ContainerId::Parse("c1").value();
  container.broken = "its record is damaged";

  const auto read = RuntimeContainerFromJson(ToJson(container), "container");

  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->spec.id.str(), "c1");
  EXPECT_EQ(read->broken, container.broken);
}

TEST(RuntimeSpecJsonTest, CarriesAFailureAcrossProcesses) {
  const absl::Status status = absl::ResourceExhaustedError("no room");

  EXPECT_EQ(StatusFromJson(StatusToJson(status)), status);
  EXPECT_EQ(StatusFromJson(json::object{{"code", "MAYBE"}, {"message", ""}}).code(),
            absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace bramble::node
