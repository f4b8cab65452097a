// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/card/card_settings.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "api/token.h"
#include "base/config.h"
#include "base/status.h"

#include "absl/strings/str_format.h"

namespace bramble::sdcard {
namespace {

constexpr uint16_t kControllerPort = 8444;
constexpr std::array<std::string_view, 3> kSecretKeys = {"join_token", "password", "psk"};

bool IsAlnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool IsPrintableText(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

bool IsSshKey(std::string_view key) {
  const size_t space = key.find(' ');
  const std::string_view type = key.substr(0, space);
  return IsPrintableText(key) && space != std::string_view::npos && key.size() > space + 20 &&
         (type.starts_with("ssh-") || type.starts_with("ecdsa-") || type.starts_with("sk-"));
}

void CheckSshKeys(ConfigReader& reader, std::string_view key,
                  const std::vector<std::string>& keys) {
  if (keys.size() > kMaxSshKeys) {
    reader.Fail(key, StrCat("write at most ", kMaxSshKeys, " keys"));
  }
  for (const std::string& each : keys) {
    if (!IsSshKey(each)) {
      reader.Fail(key,
                  "write public keys such as \"ssh-ed25519 AAAA… name\" (the .pub file's line)");
    }
  }
}

void CheckWifi(ConfigReader& reader, const WifiSettings& wifi) {
  const bool hexadecimal =
      wifi.password.size() == 64 &&
      wifi.password.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
  if (wifi.ssid.size() > 32 || !IsPrintableText(wifi.ssid)) {
    reader.Fail("ssid", "write the network's name, at most 32 bytes");
  }
  if (!wifi.password.empty() && !hexadecimal &&
      (wifi.password.size() < 8 || wifi.password.size() > 63 || !IsPrintableText(wifi.password))) {
    reader.Fail("password", "write 8 to 63 characters");
  }
  if (!wifi.country.empty() && (wifi.country.size() != 2 || !IsAlnum(wifi.country[0]))) {
    reader.Fail("country", "write two letters, such as \"NL\"");
  }
}

void CheckTimezone(ConfigReader& reader, std::string_view key, const std::string& zone) {
  const bool good = zone.size() < 64 && zone.find("..") == std::string::npos &&
                    !zone.starts_with('/') && std::all_of(zone.begin(), zone.end(), [](char c) {
                      return IsAlnum(c) || c == '/' || c == '_' || c == '-' || c == '+';
                    });
  if (!good) {
    reader.Fail(key, "write a time zone such as \"Europe/Amsterdam\"");
  }
}

void ReadHostName(ConfigReader& reader, std::string_view key, std::string& hostname) {
  hostname = reader.String(key, hostname);
  if (hostname.empty()) {
    return;
  }
  if (const absl::Status good = CheckHostName(hostname); !good.ok()) {
    reader.Fail(key, MessageOf(good));
  }
}

// The key of a line `key = …`, or "".
std::string_view KeyOf(std::string_view line) {
  const size_t begin = line.find_first_not_of(" \t");
  const size_t equals = line.find('=');
  if (begin == std::string_view::npos || equals == std::string_view::npos || line[begin] == '#') {
    return "";
  }
  std::string_view key = line.substr(begin, equals - begin);
  key = key.substr(0, key.find_last_not_of(" \t") + 1);
  const size_t dot = key.rfind('.');
  return dot == std::string_view::npos ? key : key.substr(dot + 1);
}

bool IsSecretLine(std::string_view line) {
  std::string_view key = KeyOf(line);
  if (key.size() > 2 && (key.front() == '"' || key.front() == '\'')) {
    key = key.substr(1, key.size() - 2);
  }
  if (std::find(kSecretKeys.begin(), kSecretKeys.end(), key) == kSecretKeys.end()) {
    return false;
  }
  std::string_view value = line.substr(line.find('=') + 1);
  value = value.substr(std::min(value.find_first_not_of(" \t\r"), value.size()));
  const bool block = value.starts_with("\"\"\"") || value.starts_with("'''");
  return !value.empty() && (block || (!value.starts_with("\"\"") && !value.starts_with("''")));
}

template <typename Replace>
std::string ReplaceSecretLines(std::string_view text, Replace replace) {
  std::string out;
  bool inside = false;  // of a secret of several lines
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? "" : text.substr(end + 1);
    const bool fence =
        line.find("\"\"\"") != std::string_view::npos || line.find("'''") != std::string_view::npos;
    if (inside) {
      inside = !fence;
      continue;
    }
    const bool secret = IsSecretLine(line);
    const size_t first = line.find("\"\"\"");
    inside =
        secret && fence &&
        (first == std::string_view::npos || line.find("\"\"\"", first + 3) == std::string::npos);
    out += secret ? replace(line) : std::string(line);
    out += end == std::string_view::npos ? "" : "\n";
  }
  return out;
}

}  // namespace

absl::Status CheckHostName(std::string_view name) {
  const bool good = !name.empty() && name.size() <= 63 && name.front() != '-' &&
                    name.back() != '-' && std::all_of(name.begin(), name.end(), [](char c) {
                      return (IsAlnum(c) && !(c >= 'A' && c <= 'Z')) || c == '-';
                    });
  return good ? absl::OkStatus()
              : absl::InvalidArgumentError(
                    StrCat("\"", name, "\" is no host name: write a-z, 0-9 and -, at most 63"));
}

std::string HostNameOfCard(std::string_view first, int index) {
  size_t digits = first.size();
  while (digits > 0 && first[digits - 1] >= '0' && first[digits - 1] <= '9') {
    --digits;
  }
  const std::string_view number = first.substr(digits);
  int64_t start = 1;
  if (number.empty() || number.size() > 9) {
    return index == 0 ? std::string(first) : StrCat(first, "-", index + 1);
  }
  std::from_chars(number.data(), number.data() + number.size(), start);
  return absl::StrFormat("%s%0*d", std::string(first.substr(0, digits)),
                         static_cast<int>(number.size()), start + index);
}

absl::StatusOr<CardSettings> ParseCardSettings(std::string_view text, std::string name) {
  BRAMBLE_ASSIGN_OR_RETURN(const ConfigFile file, ConfigFile::Parse(text, std::move(name)));
  CardSettings settings;
  ConfigReader reader = file.Root();
  ReadHostName(reader, "hostname", settings.hostname);
  settings.join_token = reader.String("join_token");
  if (!settings.join_token.empty()) {
    if (const auto token = api::ParseJoinToken(settings.join_token); !token.ok()) {
      reader.Fail("join_token", MessageOf(token.status()));
    }
  }
  settings.controllers = reader.Strings("controllers");
  for (const std::string& controller : settings.controllers) {
    if (const auto target = HostPort::Parse(controller, kControllerPort); !target.ok()) {
      reader.Fail("controllers", MessageOf(target.status()));
    }
  }
  settings.ssh_keys = reader.Strings("ssh_keys");
  CheckSshKeys(reader, "ssh_keys", settings.ssh_keys);
  settings.timezone = reader.String("timezone");
  CheckTimezone(reader, "timezone", settings.timezone);
  settings.grow = reader.Bool("grow", settings.grow);
  ConfigReader network = reader.Table("network");
  if (const std::string address = network.String("address"); !address.empty()) {
    if (const auto parsed = Ipv4Interface::Parse(address); parsed.ok()) {
      settings.address = *parsed;
    } else {
      network.Fail("address", MessageOf(parsed.status()));
    }
  }
  settings.gateway = network.Address("gateway");
  reader.Merge(network.Finish());
  ConfigReader wifi = reader.Table("wifi");
  settings.wifi = {.ssid = wifi.String("ssid"),
                   .password = wifi.String("password"),
                   .country = wifi.String("country"),
                   .hidden = wifi.Bool("hidden", false)};
  CheckWifi(wifi, settings.wifi);
  reader.Merge(wifi.Finish());
  ConfigReader labels = reader.Table("labels");
  for (const std::string& key : labels.Keys()) {
    settings.labels[key] = labels.String(key);
  }
  reader.Merge(labels.Finish());
  reader.Merge(api::CheckLabels(settings.labels, "labels"));
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return settings;
}

absl::StatusOr<CardSettings> ParsePreseed(std::string_view text, std::string name) {
  BRAMBLE_ASSIGN_OR_RETURN(const ConfigFile file, ConfigFile::Parse(text, std::move(name)));
  CardSettings settings;
  ConfigReader reader = file.Root();
  (void)reader.Keys();  // what is not read below means nothing here
  if (reader.Has("hostname")) {
    ReadHostName(reader, "hostname", settings.hostname);
  }
  ConfigReader system = reader.Table("system");
  (void)system.Keys();
  ReadHostName(system, "hostname", settings.hostname);
  ConfigReader user = reader.Table("user");
  (void)user.Keys();
  settings.user = user.String("name");
  const std::string password = user.String("password");
  if (!settings.user.empty() && !CheckHostName(settings.user).ok()) {
    user.Fail("name", "write a-z, 0-9 and -");
  }
  // A password in clear is not taken: nothing here may make a hash of it that is worth having.
  if (password.starts_with("$") && IsPrintableText(password) &&
      password.find(':') == std::string::npos) {
    settings.user_password_hash = password;
  }
  ConfigReader ssh = reader.Table("ssh");
  (void)ssh.Keys();
  settings.ssh_keys = ssh.Strings("authorized_keys");
  CheckSshKeys(ssh, "authorized_keys", settings.ssh_keys);
  ConfigReader wlan = reader.Table("wlan");
  (void)wlan.Keys();
  settings.wifi = {.ssid = wlan.String("ssid"),
                   .password = wlan.String("password"),
                   .country = wlan.String("country"),
                   .hidden = wlan.Bool("hidden", false)};
  CheckWifi(wlan, settings.wifi);
  ConfigReader locale = reader.Table("locale");
  (void)locale.Keys();
  settings.timezone = locale.String("timezone");
  CheckTimezone(locale, "timezone", settings.timezone);
  for (ConfigReader* table : {&system, &user, &ssh, &wlan, &locale}) {
    reader.Merge(table->Finish());
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return settings;
}

CardSettings Merge(CardSettings base, const CardSettings& over) {
  const auto take = [](auto& to, const auto& from) {
    if (!from.empty()) {
      to = from;
    }
  };
  take(base.hostname, over.hostname);
  take(base.join_token, over.join_token);
  take(base.controllers, over.controllers);
  take(base.ssh_keys, over.ssh_keys);
  take(base.timezone, over.timezone);
  take(base.user, over.user);
  take(base.user_password_hash, over.user_password_hash);
  base.grow = base.grow && over.grow;
  if (!over.address.address.empty()) {
    base.address = over.address;
    base.gateway = over.gateway;
  }
  if (!over.wifi.ssid.empty()) {
    base.wifi = over.wifi;
  }
  for (const auto& [key, value] : over.labels) {
    base.labels[key] = value;
  }
  return base;
}

absl::StatusOr<std::string> FormatCardSettings(const CardSettings& settings) {
  std::string text =
      "# What makes this card a node of a Bramble cluster.  It is read at every boot; edit it on "
      "any computer.\n"
      "# Secrets (join_token, the Wi-Fi password) are wiped from here once the node has joined.\n";
  const auto line = [&text](std::string_view key, const std::string& value, bool set) {
    text += StrCat(set ? "" : "#", key, " = ", value, "\n");
  };
  line("hostname", TomlText(settings.hostname), !settings.hostname.empty());
  line("join_token", TomlText(settings.join_token), !settings.join_token.empty());
  line("controllers", TomlText(settings.controllers), !settings.controllers.empty());
  line("ssh_keys", TomlText(settings.ssh_keys), !settings.ssh_keys.empty());
  line("timezone", TomlText(settings.timezone), !settings.timezone.empty());
  line("grow", settings.grow ? "true" : "false", !settings.grow);
  const bool fixed = !settings.address.address.empty();
  text += "\n# Without an address the node asks by DHCP.\n[network]\n";
  line("address", TomlText(fixed ? settings.address.str() : "172.16.0.11/24"), fixed);
  line("gateway", TomlText(settings.gateway.empty() ? "172.16.0.1" : settings.gateway.str()),
       !settings.gateway.empty());
  const bool wifi = !settings.wifi.ssid.empty();
  text += "\n[wifi]\n";
  line("ssid", TomlText(settings.wifi.ssid), wifi);
  line("password", TomlText(settings.wifi.password), !settings.wifi.password.empty());
  line("country", TomlText(settings.wifi.country), !settings.wifi.country.empty());
  line("hidden", settings.wifi.hidden ? "true" : "false", settings.wifi.hidden);
  text += "\n[labels]\n";
  for (const auto& [key, value] : settings.labels) {
    line(TomlText(key), TomlText(value), true);
  }
  // What cannot be read back must not be written: the parser is the judge.
  BRAMBLE_RETURN_IF_ERROR(ParseCardSettings(text, std::string(kSettingsFile)).status());
  return text;
}

std::string MaskSecrets(std::string_view text) {
  return ReplaceSecretLines(text, [](std::string_view line) {
    return StrCat(line.substr(0, line.find('=') + 1), " \"…\"");
  });
}

std::string WithoutSecrets(std::string_view text) {
  return ReplaceSecretLines(text, [](std::string_view line) {
    return StrCat("# ", KeyOf(line), " was here; it was used, and wiped");
  });
}

bool HoldsSecrets(std::string_view text) { return WithoutSecrets(text) != text; }

}  // namespace bramble::sdcard
