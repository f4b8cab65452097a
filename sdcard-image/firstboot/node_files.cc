// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/firstboot/node_files.h"

#include <algorithm>

#include "base/config.h"
#include "base/encoding.h"
#include "base/status.h"

namespace bramble::sdcard {
namespace {

std::string NodeToml(const CardSettings& settings) {
  std::string text =
      "# Made from bramble.toml on the boot partition at every boot; change it there.\n";
  text += StrCat("join_token_file = ", TomlText(kJoinTokenFile), "\n");
  if (!settings.controllers.empty()) {
    text += StrCat("controllers = ", TomlText(settings.controllers), "\n");
  }
  if (!settings.address.address.empty()) {
    text += StrCat("\n[network]\naddress = ", TomlText(settings.address.str()), "\n");
    if (!settings.gateway.empty()) {
      text += StrCat("gateway = ", TomlText(settings.gateway.str()), "\n");
    }
  }
  text += "\n[labels]\n";
  for (const auto& [key, value] : settings.labels) {
    text += StrCat(TomlText(key), " = ", TomlText(value), "\n");
  }
  return text;
}

// The network's name and key, hexadecimal where the name could be read otherwise.
std::string WpaConfig(const WifiSettings& wifi) {
  std::string text =
      "# Made from bramble.toml on the boot partition.\nctrl_interface=/run/wpa_supplicant\n";
  if (!wifi.country.empty()) {
    text += StrCat("country=", wifi.country, "\n");
  }
  text += StrCat("network={\n  ssid=", HexEncode(wifi.ssid), "\n");
  if (wifi.hidden) {
    text += "  scan_ssid=1\n";
  }
  if (wifi.password.empty()) {
    text += "  key_mgmt=NONE\n";
  } else if (wifi.password.size() == 64) {
    text += StrCat("  psk=", wifi.password, "\n");
  } else {
    // In quotes it goes to the last quote of the line: nothing in it needs escaping.
    text += StrCat("  key_mgmt=WPA-PSK SAE\n  ieee80211w=1\n  psk=\"", wifi.password, "\"\n");
  }
  return text + "}\n";
}

std::string BridgeNetwork(const CardSettings& settings) {
  std::string text =
      "# Made from bramble.toml on the boot partition.\n[Match]\nName=br0\n\n[Network]\n";
  if (settings.address.address.empty()) {
    return text +
           "DHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n\n[DHCPv4]\nVendorClassIdentifier="
           "bramble-node\n";
  }
  text += StrCat("Address=", settings.address.str(), "\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n");
  if (!settings.gateway.empty()) {
    text += StrCat("Gateway=", settings.gateway.str(), "\nDNS=", settings.gateway.str(), "\n");
  }
  return text;
}

}  // namespace

std::string FallbackName(const std::string& serial, const std::string& machine_id) {
  std::string digits;
  for (const char c : serial.size() >= 8 ? serial : machine_id) {
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) {
      digits += c;
    }
  }
  return digits.size() < 8 ? "pi" : "pi-" + digits.substr(digits.size() - 8);
}

std::vector<NodeFile> NodeFiles(const CardSettings& settings, const std::string& fallback_name,
                                bool joined) {
  const std::string name = settings.hostname.empty() ? fallback_name : settings.hostname;
  std::vector<NodeFile> files;
  files.push_back({.path = "/etc/hostname", .bytes = name + "\n"});
  files.push_back({.path = "/etc/hosts",
                   .bytes = StrCat("127.0.0.1\tlocalhost\n127.0.1.1\t", name,
                                   "\n::1\tlocalhost ip6-localhost ip6-loopback\n")});
  std::string keys;
  for (const std::string& key : settings.ssh_keys) {
    keys += key + "\n";
  }
  files.push_back({.path = "/root/.ssh/authorized_keys", .bytes = keys, .mode = 0600});
  files.push_back(
      {.path = "/etc/systemd/network/30-bridge.network", .bytes = BridgeNetwork(settings)});
  const bool wifi = !settings.wifi.ssid.empty();
  // Its password was wiped from the boot partition once the node had joined: what was made of it
  // stays.
  const bool wiped = wifi && settings.wifi.password.empty() && joined;
  if (!wiped) {
    files.push_back({.path = "/etc/wpa_supplicant/wpa_supplicant-wlan0.conf",
                     .bytes = wifi ? WpaConfig(settings.wifi) : "",
                     .mode = 0600,
                     .absent = !wifi});
  }
  // The agent's own.  The token before it, so that it never starts without.
  files.push_back({.path = kJoinTokenFile,
                   .bytes = settings.join_token + "\n",
                   .mode = 0600,
                   .absent = joined || settings.join_token.empty()});
  files.push_back({.path = "/etc/bramble/node.toml", .bytes = NodeToml(settings), .mode = 0600});
  return files;
}

}  // namespace bramble::sdcard
