// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/guest_context.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"

namespace bramble::node {
namespace {

constexpr char kSeed[] = "var/lib/cloud/seed/nocloud/";
constexpr char kShellScript[] = "text/x-shellscript";
constexpr size_t kLineBytes = 76;  // RFC 2045, 6.8
constexpr mode_t kSecret = 0600;
constexpr mode_t kSecretDirectory = 0700;

// "=_" occurs in no base64 (RFC 2045, 6.7).
constexpr char kBoundary[] = "=_bramble_context";

// JSON is YAML (YAML 1.2, 1.3), with nothing left to quote by hand.
std::string Yaml(const json::object& object) {
  return StrCat("# Written by Bramble.\n", json::serialize(object), "\n");
}

std::string Wrapped(std::string_view base64) {
  std::string text;
  for (; !base64.empty(); base64.remove_prefix(std::min(kLineBytes, base64.size()))) {
    text += StrCat(base64.substr(0, kLineBytes), "\n");
  }
  return text;
}

// Of a file's name in a header: control characters were refused before.
std::string HeaderQuoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    quoted += c == '"' || c == '\\' ? StrCat("\\", std::string(1, c)) : std::string(1, c);
  }
  return quoted + "\"";
}

std::string UserDataOf(const api::Context& context) {
  if (!context.user_data.empty()) {
    return context.user_data;
  }
  return context.parts.empty() ? "#cloud-config\n{}\n" : MultipartOf(context.parts);
}

json::array KeysOf(const api::Context& context) {
  return json::array(context.authorized_keys.begin(), context.authorized_keys.end());
}

// What the platform adds to the user's data, which goes before it: the user to make.
std::string VendorDataOf(const api::Context& context) {
  if (context.user.empty()) {
    return context.vendor_data;
  }
  const json::object user = {{"name", context.user},
                             {"lock_passwd", true},
                             {"shell", "/bin/sh"},
                             {"ssh_authorized_keys", KeysOf(context)}};
  json::array all;
  all.push_back("default");
  all.push_back(user);
  const json::object config = {{"users", std::move(all)}};
  const std::string users = StrCat("#cloud-config\n", json::serialize(config), "\n");
  if (context.vendor_data.empty()) {
    return users;
  }
  return MultipartOf(
      {{"text/cloud-config", "user", users}, {"text/plain", "vendor-data", context.vendor_data}});
}

json::object MetaDataOf(const RuntimeSpec& spec, const api::Context& context) {
  json::object meta = {{"instance-id", StrCat("bramble-", spec.id.str(), "-", spec.rebuild_count)},
                       {"local-hostname", spec.hostname}};
  if (!context.authorized_keys.empty()) {
    meta["public-keys"] = KeysOf(context);
  }
  return meta;
}

json::object NetworkConfigOf(const RuntimeNic& nic) {
  json::array addresses = {json::string(nic.address.str())};
  for (const Ipv4 address : nic.floating) {
    addresses.push_back(json::string(StrCat(address.str(), "/32")));
  }
  json::object eth0 = {{"dhcp4", false}, {"dhcp6", false}, {"addresses", std::move(addresses)}};
  if (!nic.gateway.empty()) {
    // "default" and gateway4 are each unknown to some version.
    const json::object route = {{"to", "0.0.0.0/0"}, {"via", nic.gateway.str()}};
    eth0["routes"] = json::array{route};
  }
  json::array servers;
  for (const Ipv4 server : nic.dns) {
    servers.push_back(json::string(server.str()));
  }
  if (!servers.empty()) {
    json::object names = {{"addresses", std::move(servers)}};
    if (!nic.search_domain.empty()) {
      names["search"] = json::array{json::string(nic.search_domain)};
    }
    eth0["nameservers"] = std::move(names);
  }
  json::object ethernets;
  ethernets["eth0"] = std::move(eth0);
  return {{"version", 2}, {"ethernets", std::move(ethernets)}};
}

}  // namespace

std::string MultipartOf(const std::vector<api::ContextPart>& parts) {
  std::string text =
      StrCat("Content-Type: multipart/mixed; boundary=\"", kBoundary, "\"\nMIME-Version: 1.0\n\n");
  for (const api::ContextPart& part : parts) {
    text += StrCat("--", kBoundary, "\nContent-Type: ", part.type,
                   "\nMIME-Version: 1.0\nContent-Transfer-Encoding: base64\n"
                   "Content-Disposition: attachment; filename=",
                   HeaderQuoted(part.name), "\n\n", Wrapped(Base64Encode(part.content)), "\n");
  }
  return StrCat(text, "--", kBoundary, "--\n");
}

std::string ShellQuoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    quoted += c == '\'' ? "'\\''" : std::string(1, c);
  }
  return quoted + "'";
}

std::vector<GuestFile> SeedFiles(const RuntimeSpec& spec, const api::Context& context) {
  const auto seed = [](std::string_view name, std::string content) {
    return GuestFile{StrCat(kSeed, name), std::move(content), "", kSecret};
  };
  std::vector<GuestFile> files = {seed("user-data", UserDataOf(context)),
                                  seed("meta-data", Yaml(MetaDataOf(spec, context))),
                                  seed("vendor-data", VendorDataOf(context))};
  if (spec.nic.has_value() && !spec.nic->address.address.empty()) {
    files.push_back(seed("network-config", Yaml(NetworkConfigOf(*spec.nic))));
  }
  files.push_back({"etc/cloud/cloud.cfg.d/98-bramble-seed.cfg",
                   "# Written by Bramble.\ndatasource_list: [NoCloud, None]\n", "etc/cloud"});
  return files;
}

std::vector<GuestFile> ContextFiles(const RuntimeSpec& spec, const api::Context& context) {
  std::vector<GuestFile> files;
  if (!context.variables.empty()) {
    std::map<std::string, std::string> variables = context.variables;
    variables.try_emplace("SET_HOSTNAME", spec.hostname);
    if (!context.authorized_keys.empty()) {
      std::string keys;
      for (const std::string& key : context.authorized_keys) {
        keys += StrCat(keys.empty() ? "" : "\n", key);
      }
      variables.try_emplace("SSH_PUBLIC_KEY", std::move(keys));
    }
    std::string text = "# Context variables, written by Bramble.\n";
    for (const auto& [name, value] : variables) {
      text += StrCat(name, "=", ShellQuoted(value), "\n");
    }
    files.push_back({"context/context.sh", std::move(text), "", kSecret, kSecretDirectory});
  }
  for (const auto& [name, value] : context.secrets) {
    files.push_back({StrCat("context/secrets/", name), value, "", kSecret, kSecretDirectory});
  }
  return files;
}

std::vector<api::ContextPart> ScriptsOf(const api::Context& context) {
  std::vector<api::ContextPart> scripts;
  if (context.user_data.starts_with("#!")) {
    scripts.push_back({kShellScript, "user-data", context.user_data});
  }
  for (const api::ContextPart& part : context.parts) {
    if (part.type == kShellScript) {
      scripts.push_back(part);
    }
  }
  return scripts;
}

std::vector<std::string> UnusedBy(api::ContextMode mode, const api::Context& context) {
  std::vector<std::string> unused;
  const bool minimal = mode == api::ContextMode::kMinimal;
  if (mode == api::ContextMode::kCloudInit) {
    return unused;
  }
  if (!context.user_data.empty() && !(minimal && context.user_data.starts_with("#!"))) {
    unused.push_back("user data");
  }
  for (const api::ContextPart& part : context.parts) {
    if (!minimal || part.type != kShellScript) {
      unused.push_back(StrCat("user data of type ", part.type, " (", part.name, ")"));
    }
  }
  if (!context.vendor_data.empty()) {
    unused.push_back("vendor data");
  }
  if (!minimal && !context.authorized_keys.empty()) {
    unused.push_back("ssh keys");
  }
  if (!minimal && !context.user.empty()) {
    unused.push_back(StrCat("user ", context.user));
  }
  return unused;
}

}  // namespace bramble::node
