// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "controller/coordinator_types.h"

#include "absl/status/statusor.h"

namespace bramble::controller {

// The ETags of rendered bodies: "GENERATION.DIGEST" in quotes.  The digest is there because an
// object's status changes without its generation.  It is made once per body, which the coordinator
// shares between requests.
class EntityTags {
 public:
  std::string Of(const Rendered& rendered);

 private:
  struct Known {
    std::weak_ptr<const std::string> body;
    std::string digest;
  };
  std::unordered_map<const std::string*, Known> known_;
};

// Whether an If-None-Match header names `tag` (RFC 9110, 13.1.2: weak comparison).
bool MatchesTag(std::string_view if_none_match, std::string_view tag);

// The generation in an If-Match header: "\"7\"", "\"7.1f3a\"" or "7"; nullopt for "*" and "".
absl::StatusOr<std::optional<uint64_t>> GenerationOf(std::string_view if_match);

}  // namespace bramble::controller
