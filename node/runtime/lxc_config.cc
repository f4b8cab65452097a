// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/lxc_config.h"

#include <algorithm>

#include "base/status.h"

namespace bramble::node {
namespace {

// null, zero, full, random, urandom, tty, console, ptmx, pts.  Source: Linux,
// Documentation/admin-guide/devices.txt.
constexpr const char* kDevices[] = {"c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm",
                                    "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm",
                                    "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm"};

// Beyond what the user namespace already confines.  sys_boot stays: reboot(2) inside ends the
// container's init and nothing else.
constexpr const char* kDroppedCapabilities =
    "audit_control audit_read block_suspend bpf checkpoint_restore mac_admin mac_override perfmon "
    "sys_module sys_pacct sys_rawio sys_time syslog wake_alarm";

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

bool IsInterfaceName(std::string_view text) {
  return !text.empty() && text.size() <= 15 &&
         std::all_of(text.begin(), text.end(),
                     [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
                     }) &&
         text != "." && text != "..";
}

bool IsMac(std::string_view text) {
  if (text.size() != 17) {
    return false;
  }
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (i % 3 == 2 ? c != ':' : !hex) {
      return false;
    }
  }
  return true;
}

bool IsVariableName(std::string_view text) {
  return !text.empty() && !(text[0] >= '0' && text[0] <= '9') &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_';
         });
}

class Writer {
 public:
  void Add(std::string key, std::string value) {
    if (status_.ok() && (HasControl(value) || value.empty())) {
      status_ = absl::InvalidArgumentError(StrCat(key, ": a control character, or nothing"));
    }
    items_.push_back({std::move(key), std::move(value)});
  }
  void Fail(std::string message) {
    if (status_.ok()) {
      status_ = absl::InvalidArgumentError(ToAbsl(message));
    }
  }
  absl::StatusOr<std::vector<LxcItem>> Finish() {
    BRAMBLE_RETURN_IF_ERROR(status_);
    return std::move(items_);
  }

 private:
  std::vector<LxcItem> items_;
  absl::Status status_;
};

void AddIsolation(const RuntimeSpec& spec, const LxcPlace& place, const CgroupLayout& layout,
                  Writer& out) {
  out.Add("lxc.idmap", StrCat("u 0 ", spec.ids.first, " ", spec.ids.count));
  out.Add("lxc.idmap", StrCat("g 0 ", spec.ids.first, " ", spec.ids.count));
  out.Add("lxc.cap.drop", kDroppedCapabilities);
  out.Add("lxc.seccomp.profile", place.seccomp_profile);
  if (!place.apparmor.empty()) {
    out.Add("lxc.apparmor.profile", place.apparmor);
  }
  const CgroupHierarchy* devices = layout.Find("devices");
  // cgroup v2 has no devices controller: liblxc loads a BPF program from the same list.
  const std::string prefix =
      devices != nullptr && !devices->unified ? "lxc.cgroup." : "lxc.cgroup2.";
  out.Add(prefix + "devices.deny", "a");
  for (const char* device : kDevices) {
    out.Add(prefix + "devices.allow", device);
  }
}

void AddCgroups(const RuntimeSpec& spec, const LxcPlace& place, const CgroupLayout& layout,
                Writer& out) {
  out.Add("lxc.cgroup.dir.container", ContainerCgroup(place.cgroup_root, spec.id));
  out.Add("lxc.cgroup.dir.monitor", MonitorCgroup(place.cgroup_root, spec.id));
  out.Add("lxc.cgroup.dir.monitor.pivot", place.cgroup_root);
  std::vector<std::string> missing;
  for (const CgroupSetting& setting : CgroupSettingsFor(spec.limits, layout, missing)) {
    if (!setting.optional) {
      out.Add(StrCat(setting.unified ? "lxc.cgroup2." : "lxc.cgroup.", setting.file),
              setting.value);
    }
  }
}

void AddNetwork(const RuntimeSpec& spec, Writer& out) {
  if (!spec.nic.has_value()) {
    out.Add("lxc.net.0.type", "empty");
    return;
  }
  const RuntimeNic& nic = *spec.nic;
  if (!IsInterfaceName(nic.bridge) || !IsInterfaceName(nic.host_interface)) {
    out.Fail(StrCat("interface ", nic.bridge, " or ", nic.host_interface, ": not a name"));
  }
  if (!IsMac(nic.mac)) {
    out.Fail(StrCat("MAC address ", nic.mac, ": not one"));
  }
  out.Add("lxc.net.0.type", "veth");
  out.Add("lxc.net.0.link", nic.bridge);
  out.Add("lxc.net.0.veth.pair", nic.host_interface);
  out.Add("lxc.net.0.name", "eth0");
  out.Add("lxc.net.0.hwaddr", nic.mac);
  out.Add("lxc.net.0.flags", "up");
  if (nic.mtu > 0) {
    out.Add("lxc.net.0.mtu", StrCat(nic.mtu));
  }
  if (!nic.address.address.empty()) {
    // With its broadcast address: liblxc makes 0.0.0.255 of a prefix alone, on which
    // systemd-networkd goes on configuring the address until it gives up.
    out.Add("lxc.net.0.ipv4.address",
            StrCat(nic.address.str(), " ", nic.address.prefix().broadcast().str()));
    if (!nic.gateway.empty()) {
      out.Add("lxc.net.0.ipv4.gateway", nic.gateway.str());
    }
  }
}

}  // namespace

std::string ContainerCgroup(const std::string& cgroup_root, const ContainerId& id) {
  return StrCat(cgroup_root, "/", id.str());
}

std::string MonitorCgroup(const std::string& cgroup_root, const ContainerId& id) {
  // No container id has a dot.
  return StrCat(cgroup_root, "/", id.str(), ".monitor");
}

absl::StatusOr<std::vector<LxcItem>> LxcConfigFor(const RuntimeSpec& spec, const LxcPlace& place,
                                                  const CgroupLayout& layout) {
  Writer out;
  out.Add("lxc.log.file", place.error_log);
  out.Add("lxc.log.level", "ERROR");
  out.Add("lxc.rootfs.path", StrCat("dir:", place.rootfs));
  out.Add("lxc.rootfs.mount", place.rootfs);
  out.Add("lxc.uts.name", spec.hostname);
  AddIsolation(spec, place, layout, out);
  AddCgroups(spec, place, layout, out);
  AddNetwork(spec, out);
  out.Add("lxc.autodev", "1");
  out.Add("lxc.mount.auto", "proc:mixed sys:mixed cgroup:mixed");
  out.Add("lxc.pty.max", "1024");
  out.Add("lxc.tty.max", "0");  // /dev/console is the terminal; each tty would cost a getty
  out.Add("lxc.console.logfile", place.console_log);
  out.Add("lxc.console.size", StrCat(kConsoleLogBytes));
  out.Add("lxc.console.rotate", "1");
  out.Add("lxc.environment", "container=lxc");
  for (const auto& [name, value] : spec.environment) {
    if (!IsVariableName(name)) {
      out.Fail(StrCat("environment variable ", name, ": not a name"));
      break;
    }
    out.Add("lxc.environment", StrCat(name, "=", value));
  }
  return out.Finish();
}

}  // namespace bramble::node
