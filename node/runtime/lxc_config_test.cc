// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/lxc_config.h"

#include <gmock/gmock.h>

namespace bramble::node {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

RuntimeSpec Spec() {
  RuntimeSpec spec;
  spec.id = ContainerId::Parse("c1").value();
  spec.hostname = "web";
  spec.ids.first = 1'000'000;
  spec.limits.memory.count = 64 * kMiB;
  spec.environment = {{"COLOR", "blue"}};
  RuntimeNic nic;
  nic.bridge = "br0";
  nic.host_interface = "brc1";
  nic.mac = "02:42:ac:10:00:40";
  nic.address = Ipv4Interface::Parse("172.16.0.64/24").value();
  nic.gateway = Ipv4::Parse("172.16.0.1").value();
  spec.nic = nic;
  return spec;
}

CgroupLayout Layout(bool unified) {
  return unified ? ParseCgroupLayout("1 1 0:1 / /sys/fs/cgroup rw - cgroup2 c rw\n", "0::/\n",
                                     "cpu memory pids")
                       .value()
                 : ParseCgroupLayout(
                       "1 1 0:1 / /sys/fs/cgroup/memory rw - cgroup c rw,memory\n"
                       "2 1 0:2 / /sys/fs/cgroup/devices rw - cgroup c rw,devices\n",
                       "2:memory:/\n1:devices:/\n", "")
                       .value();
}

LxcPlace Place() {
  LxcPlace place;
  place.rootfs = "/usr/lib/lxc/rootfs";
  place.seccomp_profile = "/usr/share/bramble/container.seccomp";
  place.console_log = "/state/console.log";
  place.error_log = "/run/c1.log";
  place.cgroup_root = "bramble";
  return place;
}

std::vector<LxcItem> Config(const RuntimeSpec& spec, bool unified = true) {
  auto items = LxcConfigFor(spec, Place(), Layout(unified));
  EXPECT_TRUE(items.ok()) << items.status();
  return items.value_or(std::vector<LxcItem>{});
}

absl::Status Refusal(const RuntimeSpec& spec) {
  return LxcConfigFor(spec, Place(), Layout(true)).status();
}

TEST(LxcConfigTest, MapsTheContainersOwnRange) {
  const auto items = Config(Spec());

  EXPECT_THAT(items, Contains(LxcItem{"lxc.idmap", "u 0 1000000 65536"}));
  EXPECT_THAT(items, Contains(LxcItem{"lxc.idmap", "g 0 1000000 65536"}));
}

TEST(LxcConfigTest, DeniesEveryDeviceBeforeItAllowsNine) {
  for (const bool unified : {true, false}) {
    const std::string prefix = unified ? "lxc.cgroup2." : "lxc.cgroup.";
    std::vector<LxcItem> devices;
    for (const LxcItem& item : Config(Spec(), unified)) {
      if (item.key.starts_with(prefix + "devices")) {
        devices.push_back(item);
      }
    }

    ASSERT_EQ(devices.size(), 10u);
    EXPECT_EQ(devices[0], (LxcItem{prefix + "devices.deny", "a"}));
    for (size_t i = 1; i < devices.size(); ++i) {
      EXPECT_THAT(devices[i].value, Not(HasSubstr("b "))) << "no block device";
      EXPECT_THAT(devices[i].value, Not(HasSubstr("*:*")));
    }
  }
}

TEST(LxcConfigTest, DropsCapabilitiesAndLoadsOurSeccompProfile) {
  const auto items = Config(Spec());

  EXPECT_THAT(items,
              Contains(LxcItem{"lxc.seccomp.profile", "/usr/share/bramble/container.seccomp"}));
  for (const char* capability : {"sys_module", "sys_time", "sys_rawio", "mac_admin", "syslog"}) {
    EXPECT_THAT(items, Contains(testing::Field(&LxcItem::value, HasSubstr(capability))));
  }
}

TEST(LxcConfigTest, SetsTheAddressBeforeInitRuns) {
  const auto items = Config(Spec());

  EXPECT_THAT(items, Contains(LxcItem{"lxc.net.0.type", "veth"}));
  EXPECT_THAT(items, Contains(LxcItem{"lxc.net.0.ipv4.address", "172.16.0.64/24 172.16.0.255"}));
  EXPECT_THAT(items, Contains(LxcItem{"lxc.net.0.ipv4.gateway", "172.16.0.1"}));
  EXPECT_THAT(items, Contains(LxcItem{"lxc.net.0.hwaddr", "02:42:ac:10:00:40"}));
}

TEST(LxcConfigTest, GivesLoopbackAloneWithoutANic) {
  RuntimeSpec spec = Spec();
  spec.nic.reset();

  EXPECT_THAT(Config(spec), Contains(LxcItem{"lxc.net.0.type", "empty"}));
}

TEST(LxcConfigTest, KeepsGroupsOfContainerAndMonitorApart) {
  const auto items = Config(Spec());

  EXPECT_THAT(items, Contains(LxcItem{"lxc.cgroup.dir.container", "bramble/c1"}));
  EXPECT_THAT(items, Contains(LxcItem{"lxc.cgroup.dir.monitor", "bramble/c1.monitor"}));
  EXPECT_THAT(items, Contains(LxcItem{"lxc.cgroup2.memory.max", "67108864"}));
}

TEST(LxcConfigTest, NamesTheProfileOfAppArmorWhereThereIsOne) {
  const auto without = Config(Spec());
  EXPECT_THAT(without, Not(Contains(testing::Field(&LxcItem::key, "lxc.apparmor.profile"))));

  LxcPlace place = Place();
  place.apparmor = "bramble-container";
  const auto with = LxcConfigFor(Spec(), place, Layout(true));
  ASSERT_TRUE(with.ok()) << with.status();
  EXPECT_THAT(*with, Contains(LxcItem{"lxc.apparmor.profile", "bramble-container"}));
}

TEST(LxcConfigTest, RefusesAControlCharacterAnywhere) {
  RuntimeSpec spec = Spec();
  spec.environment["A"] = "b\nlxc.cap.drop =";
  EXPECT_EQ(Refusal(spec).code(), absl::StatusCode::kInvalidArgument);

  spec = Spec();
  spec.hostname = "web\nlxc.apparmor.profile = unconfined";
  EXPECT_EQ(Refusal(spec).code(), absl::StatusCode::kInvalidArgument);

  spec = Spec();
  spec.nic->bridge = "br0\n";
  EXPECT_EQ(Refusal(spec).code(), absl::StatusCode::kInvalidArgument);
}

TEST(LxcConfigTest, RefusesWhatIsNoMacNoInterfaceAndNoVariable) {
  RuntimeSpec spec = Spec();
  spec.nic->mac = "02:42:ac:10:00";
  EXPECT_EQ(Refusal(spec).code(), absl::StatusCode::kInvalidArgument);

  spec = Spec();
  spec.nic->host_interface = "longer-than-fifteen";
  EXPECT_EQ(Refusal(spec).code(), absl::StatusCode::kInvalidArgument);

  spec = Spec();
  spec.environment["1A=B"] = "c";
  EXPECT_EQ(Refusal(spec).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace bramble::node
