// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/json_fields.h"

namespace bramble::api {

// A join token as the controller shows it: without its secret, which is stored hashed.
struct Token {
  TokenId id;
  uint64_t generation = 1;
  WallTime created_at{};
  WallTime expires_at{};
  int64_t max_uses = 1;
  int64_t uses = 0;
  bool revoked = false;
  std::string pool = "default";
};

// What is inside "brm1.<base64url>": enough for a node to know the controller before it sends
// anything secret (DESIGN.md, section 6).
struct JoinToken {
  std::string controller_key_sha256;  // 32 raw bytes: of the controller's public key (SPKI, DER)
  TokenId id;
  std::string secret;                  // 16 raw bytes
  std::vector<std::string> addresses;  // "172.16.0.1:8444"
};

inline constexpr size_t kJoinSecretBytes = 16;
inline constexpr size_t kMaxJoinTokenBytes = 2048;

std::string FormatJoinToken(const JoinToken& token);
// kInvalidArgument says what is wrong without repeating the secret.
absl::StatusOr<JoinToken> ParseJoinToken(std::string_view text);

json::object ToJson(const Token& token);
absl::StatusOr<Token> TokenFromJson(const json::value& value, std::string path = "token",
                                    UnknownKeys unknown = UnknownKeys::kIgnore);

}  // namespace bramble::api
