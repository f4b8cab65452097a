// SPDX-License-Identifier: Apache-2.0
#include "controller/rest/entity_tags.h"

#include <functional>

#include "base/strings.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"

namespace bramble::controller {
namespace {

constexpr size_t kMaxKnown = 8192;

std::string_view Trim(std::string_view text) {
  return FromAbsl(absl::StripAsciiWhitespace(ToAbsl(text)));
}

}  // namespace

std::string EntityTags::Of(const Rendered& rendered) {
  const auto found = known_.find(rendered.body.get());
  // An expired entry is another body that had this address.
  if (found == known_.end() || found->second.body.lock() != rendered.body) {
    if (known_.size() >= kMaxKnown) {
      known_.clear();
    }
    const uint64_t digest = std::hash<std::string_view>()(*rendered.body);
    Known known{.body = rendered.body, .digest = absl::StrFormat("%016x", digest)};
    known_[rendered.body.get()] = known;
    return StrCat("\"", rendered.generation, ".", known.digest, "\"");
  }
  return StrCat("\"", rendered.generation, ".", found->second.digest, "\"");
}

bool MatchesTag(std::string_view if_none_match, std::string_view tag) {
  while (!if_none_match.empty()) {
    const size_t comma = if_none_match.find(',');
    std::string_view one = Trim(if_none_match.substr(0, comma));
    if (one.starts_with("W/")) {
      one.remove_prefix(2);
    }
    if (one == "*" || one == tag) {
      return true;
    }
    if (comma == std::string_view::npos) {
      break;
    }
    if_none_match.remove_prefix(comma + 1);
  }
  return false;
}

absl::StatusOr<std::optional<uint64_t>> GenerationOf(std::string_view if_match) {
  std::string_view text = Trim(if_match);
  if (text.empty() || text == "*") {
    return std::nullopt;
  }
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') {
    text = text.substr(1, text.size() - 2);
  }
  text = text.substr(0, text.find('.'));
  uint64_t generation = 0;
  if (!absl::SimpleAtoi(ToAbsl(text), &generation)) {
    return absl::InvalidArgumentError(
        "If-Match: write the ETag that a GET of the object answered, or its generation in quotes, "
        "such as \"7\"");
  }
  return generation;
}

}  // namespace bramble::controller
