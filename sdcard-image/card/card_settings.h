// SPDX-License-Identifier: Apache-2.0
#pragma once

// bramble.toml on a card's boot partition: what makes a card one node of one cluster.  A person may
// edit it on any laptop; `bramble sdcard` writes it; the card's first boot reads it.
//
//   hostname = "pi-01"
//   join_token = "brm1.…"                 wiped once the node has joined
//   controllers = ["172.16.0.1:8444"]     beyond what the token says
//   ssh_keys = ["ssh-ed25519 AAAA… me"]   for root; there is no password
//   timezone = "Europe/Amsterdam"
//   grow = true                           the root to the end of the card
//   [network]   address = "172.16.0.11/24", gateway = "172.16.0.1"; without: DHCP
//   [wifi]      ssid, password, country, hidden
//   [labels]    class = "a"

#include <string>
#include <string_view>
#include <vector>

#include "api/labels.h"
#include "base/ip.h"

#include "absl/status/statusor.h"

namespace bramble::sdcard {

inline constexpr std::string_view kSettingsFile = "bramble.toml";
inline constexpr std::string_view kPreseedFile = "rpi-preseed.toml";
inline constexpr size_t kMaxSettingsBytes = 64 << 10;
inline constexpr size_t kMaxSshKeys = 64;

struct WifiSettings {
  std::string ssid;      // empty: no Wi-Fi
  std::string password;  // 8 to 63 characters, or 64 hexadecimal digits of the key itself
  std::string country;   // "NL"
  bool hidden = false;
};

struct CardSettings {
  std::string hostname;
  std::string join_token;
  std::vector<std::string> controllers;
  std::vector<std::string> ssh_keys;
  std::string timezone;
  bool grow = true;
  Ipv4Interface address;
  Ipv4 gateway;
  WifiSettings wifi;
  api::Labels labels;
  // From Raspberry Pi Imager only: a user of its own, with a hash as /etc/shadow has it.
  std::string user;
  std::string user_password_hash;
};

// Unknown keys are refused; errors name `name`, line and key.
absl::StatusOr<CardSettings> ParseCardSettings(std::string_view text, std::string name);

// What Raspberry Pi Imager (2.0.11 and newer, init_format rpi-preseed) leaves on the card.  Keys
// that mean nothing here are passed over.
absl::StatusOr<CardSettings> ParsePreseed(std::string_view text, std::string name);

// `base` with what `over` sets.
CardSettings Merge(CardSettings base, const CardSettings& over);

// The whole file, with comments for people.  kInvalidArgument: a value with control characters.
absl::StatusOr<std::string> FormatCardSettings(const CardSettings& settings);

// The text with every secret (join_token, password) shown as "…".  Line by line, also for what does
// not parse.
std::string MaskSecrets(std::string_view text);
// The text with the lines that hold secrets replaced by a note; everything else as it was.
std::string WithoutSecrets(std::string_view text);
bool HoldsSecrets(std::string_view text);

// "pi-01", 0 -> "pi-01"; 1 -> "pi-02"; "pi", 1 -> "pi-2".  For a row of cards.
std::string HostNameOfCard(std::string_view first, int index);
// As RFC 1123 has it, at most 63 characters.
absl::Status CheckHostName(std::string_view name);

}  // namespace bramble::sdcard
