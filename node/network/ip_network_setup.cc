// SPDX-License-Identifier: Apache-2.0
#include <filesystem>

#include "base/file.h"
#include "base/status.h"
#include "node/network/ip_command.h"
#include "node/network/network_setup.h"

namespace bramble::node {
namespace {

// The kernel's settings for a node that routes and answers ARP for its containers.  Source: Linux,
// Documentation/networking/ip-sysctl.rst.
struct Setting {
  std::string path;  // below /proc/sys/net/ipv4
  const char* value;
};

std::vector<Setting> RoutingSettings(const std::string& bridge, const std::string& port) {
  return {{"ip_forward", "1"},
          {StrCat("conf/", bridge, "/proxy_arp"), "1"},
          {StrCat("neigh/", bridge, "/proxy_delay"), "0"},
          {StrCat("neigh/", port, "/proxy_delay"), "0"},
          // A container's packets come by the bridge and go by the port: no detour to tell it of.
          {StrCat("conf/", bridge, "/send_redirects"), "0"},
          {StrCat("conf/", port, "/send_redirects"), "0"}};
}

}  // namespace

bool IpNetworkSetup::IsWireless(const std::string& port) {
  std::error_code ignored;
  return std::filesystem::exists(StrCat("/sys/class/net/", port, "/phy80211"), ignored) ||
         std::filesystem::exists(StrCat("/sys/class/net/", port, "/wireless"), ignored);
}

asio::awaitable<absl::StatusOr<NetworkFacts>> IpNetworkSetup::Look() {
  std::vector<std::string> show_addresses = {"ip", "-json", "address", "show"};
  std::vector<std::string> show_routes = {"ip", "-json", "-4", "route", "show", "default"};
  absl::StatusOr<std::string> addresses = co_await RunIp(std::move(show_addresses), "");
  if (!addresses.ok()) {
    co_return addresses.status();
  }
  absl::StatusOr<std::string> routes = co_await RunIp(std::move(show_routes), "");
  if (!routes.ok()) {
    co_return routes.status();
  }
  co_return ParseNetworkFacts(*addresses, *routes);
}

asio::awaitable<absl::Status> IpNetworkSetup::SetRouting(BridgeSetting setting) {
  for (const Setting& one : RoutingSettings(setting.bridge, setting.port)) {
    const absl::Status written =
        WriteToExisting(StrCat("/proc/sys/net/ipv4/", one.path), one.value);
    if (!written.ok()) {
      co_return Annotate(written, "routed network");
    }
  }
  if (IsWireless(setting.port)) {
    std::vector<std::string> iw = {"iw", "dev", setting.port, "set", "power_save", "off"};
    const absl::StatusOr<std::string> set = co_await RunIp(std::move(iw), "");
    if (!set.ok()) {
      log_.Warn("power_save_stays_on", {{"port", setting.port}, {"error", set.status()}});
    }
  }
  co_return absl::OkStatus();
}

asio::awaitable<absl::Status> IpNetworkSetup::Apply(BridgeSetting setting) {
  absl::StatusOr<NetworkFacts> facts = co_await Look();
  if (!facts.ok()) {
    co_return facts.status();
  }
  if (setting.routed && facts->Find(setting.bridge) != nullptr) {
    std::vector<std::string> show_routes = {"ip",   "-json", "-4",          "route",
                                            "show", "dev",   setting.bridge};
    std::vector<std::string> show_proxied = {"ip",   "-json", "-4",  "neigh",
                                             "show", "proxy", "dev", setting.port};
    absl::StatusOr<std::string> routes = co_await RunIp(std::move(show_routes), "");
    absl::StatusOr<std::string> proxied = co_await RunIp(std::move(show_proxied), "");
    if (!routes.ok() || !proxied.ok()) {
      co_return routes.ok() ? proxied.status() : routes.status();
    }
    absl::StatusOr<std::vector<Ipv4>> routed = ParseSingleAddresses(*routes);
    absl::StatusOr<std::vector<Ipv4>> answered = ParseSingleAddresses(*proxied);
    facts->bridge_routes = routed.value_or(std::vector<Ipv4>());
    facts->proxied = answered.value_or(std::vector<Ipv4>());
  }
  absl::StatusOr<std::vector<std::string>> plan = PlanBridge(setting, *facts);
  if (!plan.ok()) {
    co_return plan.status();
  }
  if (!plan->empty()) {
    std::string batch;
    for (const std::string& line : *plan) {
      log_.Info("network_change", {{"ip", line}});
      batch += line + "\n";
    }
    std::vector<std::string> apply = {"ip", "-batch", "-"};
    absl::StatusOr<std::string> applied = co_await RunIp(std::move(apply), std::move(batch));
    if (!applied.ok()) {
      co_return applied.status();
    }
  }
  if (setting.routed) {
    co_return co_await SetRouting(std::move(setting));
  }
  co_return absl::OkStatus();
}

}  // namespace bramble::node
