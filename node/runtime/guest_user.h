// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace bramble::node {

// A user as a container's own /etc/passwd and /etc/group have it.
struct GuestUser {
  std::string name;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string home = "/";
  std::vector<uint32_t> groups;  // beside `gid`

  friend bool operator==(const GuestUser&, const GuestUser&) = default;
};

// `user`: "name", "uid", "uid:gid" or "name:gid"; empty: root.  A number needs no entry.  Lines
// that are none are skipped.  kNotFound: no such name.  Pure.
absl::StatusOr<GuestUser> ResolveGuestUser(std::string_view user, std::string_view passwd,
                                           std::string_view group);

}  // namespace bramble::node
