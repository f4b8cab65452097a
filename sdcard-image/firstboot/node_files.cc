// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/firstboot/node_files.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

#include "base/config.h"
#include "base/encoding.h"
#include "base/status.h"

namespace bramble::sdcard {
namespace {

constexpr std::string_view kMadeHere =
    "# Made from bramble.toml on the boot partition at every boot; change it there.\n";

struct IdentitySlot {
  uint64_t sequence = 0;
  std::string_view text;
};

// "bramble-record 1 SEQUENCE LENGTH CHECKSUM\nTEXT"; nullopt: torn, or none.
std::optional<IdentitySlot> ReadSlot(std::string_view bytes) {
  constexpr std::string_view kMagic = "bramble-record 1 ";
  if (!bytes.starts_with(kMagic)) {
    return std::nullopt;
  }
  bytes.remove_prefix(kMagic.size());
  const auto number = [&bytes](char end) -> std::optional<uint64_t> {
    uint64_t value = 0;
    const auto [stop, error] = std::from_chars(bytes.data(), bytes.data() + bytes.size(), value);
    const auto used = static_cast<size_t>(stop - bytes.data());
    if (error != std::errc() || used >= bytes.size() || *stop != end) {
      return std::nullopt;
    }
    bytes.remove_prefix(used + 1);
    return value;
  };
  const std::optional<uint64_t> sequence = number(' ');
  const std::optional<uint64_t> length = sequence.has_value() ? number(' ') : std::nullopt;
  const bool whole = length.has_value() && number('\n').has_value() && bytes.size() == *length;
  // What was not written to the card is zeros: JSON on one line has none.
  const bool plain = std::none_of(bytes.begin(), bytes.end(),
                                  [](char c) { return static_cast<unsigned char>(c) < 0x20; });
  if (!whole || !plain) {
    return std::nullopt;
  }
  return IdentitySlot{.sequence = *sequence, .text = bytes};
}

std::string NodeToml(const CardSettings& settings) {
  std::string text(kMadeHere);
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

bool HasIdentity(std::string_view slot_0, std::string_view slot_1) {
  const std::optional<IdentitySlot> first = ReadSlot(slot_0);
  const std::optional<IdentitySlot> second = ReadSlot(slot_1);
  const bool is_second =
      second.has_value() && (!first.has_value() || second->sequence > first->sequence);
  const std::optional<IdentitySlot>& newest = is_second ? second : first;
  return newest.has_value() && newest->text.starts_with('{') && newest->text.ends_with('}');
}

bool WasMadeHere(std::string_view node_toml) { return node_toml.starts_with(kMadeHere); }

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
  files.push_back({.path = kNodeToml, .bytes = NodeToml(settings), .mode = 0600});
  return files;
}

}  // namespace bramble::sdcard
