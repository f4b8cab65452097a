// SPDX-License-Identifier: Apache-2.0
#include "controller/listing.h"

#include "api/problem.h"

namespace bramble::controller {

absl::StatusOr<std::vector<FilterTerm>> ParseFilter(std::string_view text,
                                                    const std::vector<std::string_view>& keys,
                                                    bool labels) {
  std::vector<FilterTerm> terms;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return absl::InvalidArgumentError(
          StrCat("filter: \"", part, "\": write KEY=VALUE or KEY!=VALUE"));
    }
    const bool negated = part[equals - 1] == '!';
    FilterTerm term{.key = std::string(part.substr(0, equals - (negated ? 1 : 0))),
                    .value = std::string(part.substr(equals + 1)),
                    .negated = negated};
    const bool known = std::find(keys.begin(), keys.end(), term.key) != keys.end() ||
                       (labels && term.key.starts_with("label.") && term.key.size() > 6);
    if (!known) {
      std::string all = labels ? "label.KEY" : "";
      for (const std::string_view key : keys) {
        all = StrCat(all, all.empty() ? "" : ", ", key);
      }
      return absl::InvalidArgumentError(
          StrCat("filter: unknown key \"", term.key, "\"; the keys are ", all));
    }
    terms.push_back(std::move(term));
    if (terms.size() > kMaxFilterTerms) {
      return absl::InvalidArgumentError(StrCat("filter: at most ", kMaxFilterTerms, " terms"));
    }
  }
  return terms;
}

absl::Status CheckIfMatch(const WriteOptions& options, uint64_t generation, std::string_view kind,
                          std::string_view name) {
  if (options.if_match.has_value() && *options.if_match != generation) {
    return api::WithCode(
        absl::AbortedError(StrCat(kind, " \"", name, "\" has generation ", generation, ", not ",
                                  *options.if_match, "; read it again and repeat the change")),
        "stale_generation");
  }
  return absl::OkStatus();
}

}  // namespace bramble::controller
