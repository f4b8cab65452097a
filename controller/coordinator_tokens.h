// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "controller/coordinator_types.h"

namespace bramble::controller {

struct CreateToken {
  std::chrono::seconds valid{86400};  // at most kMaxTokenValid
  int64_t max_uses = 1;               // at most kMaxTokenUses
  std::string pool = "default";
};
inline constexpr std::chrono::seconds kMaxTokenValid = std::chrono::hours(24 * 365);
inline constexpr int64_t kMaxTokenUses = 1000;

// Join tokens.
class TokenService {
 public:
  virtual ~TokenService() = default;
  virtual absl::StatusOr<Rendered> Get(const Principal& who, const std::string& id) = 0;
  virtual absl::StatusOr<Rendered> List(const Principal& who, const ListQuery& query) = 0;
  // Written.object is {"token": {…}, "join_token": "brm1.…"}; the latter is never shown again.
  virtual void Create(const Principal& who, CreateToken request, WriteOptions options,
                      WriteDone done) = 0;
  virtual void Revoke(const Principal& who, const std::string& id, WriteOptions options,
                      WriteDone done) = 0;
};

}  // namespace bramble::controller
