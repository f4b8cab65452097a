// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/json_fields.h"
#include "api/project.h"

namespace bramble::api {

// An ssh key by name: /v1/keys/{name}.  A container that was made with it keeps it, whatever
// becomes of the name.
struct Key {
  std::string name;  // a DNS label
  ProjectName project = ProjectName::Trusted(kDefaultProject);
  uint64_t generation = 1;
  WallTime created_at{};
  std::string type;  // "ssh-ed25519"
  int64_t bits = 0;
  std::string fingerprint;  // "SHA256:…", as ssh-keygen -l shows it
  std::string comment;
  std::string public_key;  // the line "TYPE BASE64 COMMENT"

  friend bool operator==(const Key&, const Key&) = default;
};
inline constexpr size_t kMaxKeys = 10'000;

json::object ToJson(const Key& key);
absl::StatusOr<Key> KeyFromJson(const json::value& value, std::string path = "key",
                                UnknownKeys unknown = UnknownKeys::kIgnore);

}  // namespace bramble::api
