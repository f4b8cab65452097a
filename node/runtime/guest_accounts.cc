// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/guest_accounts.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "base/strings.h"

namespace bramble::node {
namespace {

// UID_MIN and UID_MAX of login.defs(5).
constexpr uint32_t kFirstUser = 1000;
constexpr uint32_t kLastUser = 59999;

std::vector<std::string_view> Split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  size_t end = 0;
  while ((end = text.find(at)) != std::string_view::npos) {
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  parts.push_back(text);
  return parts;
}

std::optional<uint32_t> NumberOf(std::string_view text) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && !text.empty()
             ? std::optional(number)
             : std::nullopt;
}

// The fields of the line of `name`; empty: there is none.
std::vector<std::string_view> LineOf(std::string_view text, std::string_view name) {
  for (const std::string_view line : Split(text, '\n')) {
    std::vector<std::string_view> fields = Split(line, ':');
    if (fields[0] == name) {
      return fields;
    }
  }
  return {};
}

void TakeIds(const std::optional<std::string>& text, std::set<uint32_t>& taken) {
  const std::string_view all = text.has_value() ? std::string_view(*text) : std::string_view();
  for (const std::string_view line : Split(all, '\n')) {
    const std::vector<std::string_view> fields = Split(line, ':');
    const auto id = fields.size() > 2 ? NumberOf(fields[2]) : std::nullopt;
    if (id.has_value()) {
      taken.insert(*id);
    }
  }
}

void AddLine(std::string& text, std::string line) {
  if (!text.empty() && text.back() != '\n') {
    text += '\n';
  }
  text += StrCat(line, "\n");
}

}  // namespace

GuestUser AddAccount(AccountFiles& files, std::string_view name, std::string_view shell) {
  if (const auto found = ResolveGuestUser(name, files.passwd.value_or(""), ""); found.ok()) {
    return *found;
  }
  GuestUser account;
  account.name = name;
  if (name == "root") {
    account.home = "/root";
    return account;
  }
  std::set<uint32_t> taken;
  TakeIds(files.passwd, taken);
  TakeIds(files.group, taken);
  account.uid = kFirstUser;
  account.home = StrCat("/home/", name);
  while (taken.contains(account.uid) && account.uid < kLastUser) {
    ++account.uid;
  }
  account.gid = account.uid;
  if (files.group.has_value()) {
    // A group may be there without its user; a second one of the name would be void.
    const std::vector<std::string_view> group = LineOf(*files.group, name);
    const auto gid = group.size() > 2 ? NumberOf(group[2]) : std::nullopt;
    account.gid = gid.value_or(account.gid);
    if (!gid.has_value()) {
      AddLine(*files.group, StrCat(name, ":x:", account.gid, ":"));
    }
  }
  if (!files.passwd.has_value()) {
    files.passwd = StrCat("root:x:0:0:root:/root:", shell, "\n");
  }
  AddLine(*files.passwd,
          StrCat(name, ":x:", account.uid, ":", account.gid, "::", account.home, ":", shell));
  if (files.shadow.has_value() && LineOf(*files.shadow, name).empty()) {
    // No password fits "*"; "!" would be a locked account, which sshd without PAM turns away.
    AddLine(*files.shadow, StrCat(name, ":*:::::::"));
  }
  return account;
}

std::string WithKeys(std::string text, const std::vector<std::string>& keys) {
  for (const std::string& key : keys) {
    const std::vector<std::string_view> lines = Split(text, '\n');
    if (std::find(lines.begin(), lines.end(), key) == lines.end()) {
      AddLine(text, key);
    }
  }
  return text;
}

}  // namespace bramble::node
