// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/sdcard_settings_flags.h"

#include "base/file.h"
#include "base/status.h"

namespace bramble::cli {
namespace {

absl::StatusOr<std::string> LineOf(const std::string& file) {
  BRAMBLE_ASSIGN_OR_RETURN(std::string text, ReadFile(file, sdcard::kMaxSettingsBytes));
  text.erase(text.find_last_not_of(" \r\n\t") + 1);
  return text;
}

// A public key itself, or the file that holds some.
absl::Status AddSshKeys(const std::string& given, std::vector<std::string>& keys) {
  if (given.find(' ') != std::string::npos) {
    keys.push_back(given);
    return absl::OkStatus();
  }
  BRAMBLE_ASSIGN_OR_RETURN(const std::string text, ReadFile(given, sdcard::kMaxSettingsBytes));
  if (text.find("PRIVATE KEY") != std::string::npos) {
    return Misuse(StrCat("--ssh-key ", given, " is a private key: name its .pub file"));
  }
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    std::string line(rest.substr(0, end));
    line.erase(line.find_last_not_of(" \r\t") + 1);
    if (!line.empty() && line[0] != '#') {
      keys.push_back(std::move(line));
    }
    rest = end == std::string_view::npos ? "" : rest.substr(end + 1);
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<Flag> CardSettingsFlags() {
  const Completes files = Completes::kFiles;
  return {
      {.name = "settings",
       .value = "FILE",
       .help = "a whole bramble.toml; the flags add to it",
       .completes = files},
      {.name = "hostname",
       .value = "NAME",
       .help = "the node's name; of several cards the first, pi-01"},
      {.name = "token",
       .value = "TOKEN",
       .help = "from `bramble token create`; others on this machine may see it"},
      {.name = "token-file",
       .value = "FILE",
       .help = "the file that holds the token",
       .completes = files},
      {.name = "node-controller",
       .value = "HOST[:PORT]",
       .help = "where the node looks for its controller, beyond what the token says",
       .repeats = true},
      {.name = "ssh-key",
       .value = "FILE|KEY",
       .help = "public keys that may log in as root",
       .repeats = true,
       .completes = files},
      {.name = "wifi", .value = "SSID", .help = "the wireless network to use"},
      {.name = "wifi-password-file",
       .value = "FILE",
       .help = "the file that holds its password",
       .completes = files},
      {.name = "wifi-country", .value = "CC", .help = "the country, NL: its channels are used"},
      {.name = "address", .value = "A.B.C.D/N", .help = "a fixed address instead of DHCP"},
      {.name = "gateway", .value = "A.B.C.D", .help = "the router, with a fixed address"},
      {.name = "timezone", .value = "ZONE", .help = "Europe/Amsterdam (UTC)"},
      {.name = "label",
       .value = "KEY=VALUE",
       .help = "a label of the node",
       .letter = 'l',
       .repeats = true},
      {.name = "no-grow", .value = "", .help = "leave the root as large as it is at first boot"},
  };
}

absl::StatusOr<sdcard::CardSettings> CardSettingsOf(const Args& args) {
  sdcard::CardSettings settings;
  if (args.Has("settings")) {
    BRAMBLE_ASSIGN_OR_RETURN(const std::string text,
                             ReadFile(args.Text("settings"), sdcard::kMaxSettingsBytes));
    BRAMBLE_ASSIGN_OR_RETURN(settings, sdcard::ParseCardSettings(text, args.Text("settings")));
  }
  sdcard::CardSettings given;
  given.hostname = args.Text("hostname");
  given.join_token = args.Text("token");
  if (args.Has("token-file")) {
    BRAMBLE_ASSIGN_OR_RETURN(given.join_token, LineOf(args.Text("token-file")));
  }
  given.controllers =
      args.Has("node-controller") ? args.Texts("node-controller") : std::vector<std::string>();
  if (args.Has("ssh-key")) {
    for (const std::string& key : args.Texts("ssh-key")) {
      BRAMBLE_RETURN_IF_ERROR(AddSshKeys(key, given.ssh_keys));
    }
  }
  given.wifi.ssid = args.Text("wifi");
  given.wifi.country = args.Text("wifi-country");
  if (args.Has("wifi-password-file")) {
    BRAMBLE_ASSIGN_OR_RETURN(given.wifi.password, LineOf(args.Text("wifi-password-file")));
  }
  if (args.Has("address")) {
    BRAMBLE_ASSIGN_OR_RETURN(given.address, Ipv4Interface::Parse(args.Text("address")));
  }
  if (args.Has("gateway")) {
    BRAMBLE_ASSIGN_OR_RETURN(given.gateway, Ipv4::Parse(args.Text("gateway")));
  }
  given.timezone = args.Text("timezone");
  given.grow = !args.Has("no-grow");
  BRAMBLE_ASSIGN_OR_RETURN(given.labels, args.Map("label"));
  return sdcard::Merge(std::move(settings), given);
}

}  // namespace bramble::cli
