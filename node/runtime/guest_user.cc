// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/guest_user.h"

#include <algorithm>

#include "base/status.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxGroups = 64;
constexpr uint32_t kMaxId = 65535;

bool ParseId(std::string_view text, uint32_t& id) {
  return !text.empty() && text[0] >= '0' && text[0] <= '9' && absl::SimpleAtoi(ToAbsl(text), &id) &&
         id <= kMaxId;
}

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

// "name:x:uid:gid:gecos:home:shell"
bool FindEntry(std::string_view passwd, std::string_view name, bool by_uid, uint32_t uid,
               GuestUser& user) {
  for (const absl::string_view line : absl::StrSplit(ToAbsl(passwd), '\n')) {
    const std::vector<std::string> fields = absl::StrSplit(line, ':');
    uint32_t entry_uid = 0;
    uint32_t entry_gid = 0;
    if (fields.size() < 6 || !ParseId(fields[2], entry_uid) || !ParseId(fields[3], entry_gid) ||
        (by_uid ? entry_uid != uid : fields[0] != name)) {
      continue;
    }
    user.name = HasControl(fields[0]) ? "" : fields[0];
    user.uid = entry_uid;
    user.gid = entry_gid;
    user.home = fields[5].starts_with("/") && !HasControl(fields[5]) ? fields[5] : "/";
    return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<GuestUser> ResolveGuestUser(std::string_view user, std::string_view passwd,
                                           std::string_view group) {
  const size_t colon = user.find(':');
  const std::string_view name = user.substr(0, colon);
  GuestUser result;
  uint32_t uid = 0;
  if (name.empty() || ParseId(name, uid)) {
    if (!FindEntry(passwd, "", /*by_uid=*/true, uid, result)) {
      result.uid = uid;
      result.gid = uid;
      result.name = uid == 0 ? "root" : std::string(name);
      result.home = uid == 0 ? "/root" : "/";
    }
  } else if (!FindEntry(passwd, name, /*by_uid=*/false, 0, result)) {
    return absl::NotFoundError(StrCat("user ", name, ": not in the container's /etc/passwd"));
  }
  if (colon != std::string_view::npos) {
    if (!ParseId(user.substr(colon + 1), result.gid)) {
      return absl::InvalidArgumentError(StrCat("user ", user, ": the group is no number"));
    }
    return result;
  }
  for (const absl::string_view line : absl::StrSplit(ToAbsl(group), '\n')) {
    const std::vector<std::string> fields = absl::StrSplit(line, ':');
    uint32_t gid = 0;
    if (fields.size() < 4 || !ParseId(fields[2], gid) || gid == result.gid ||
        result.groups.size() >= kMaxGroups) {
      continue;
    }
    const std::vector<std::string> members = absl::StrSplit(fields[3], ',');
    if (std::find(members.begin(), members.end(), result.name) != members.end()) {
      result.groups.push_back(gid);
    }
  }
  return result;
}

}  // namespace bramble::node
