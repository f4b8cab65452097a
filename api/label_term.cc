// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "api/container.h"
#include "api/labels.h"
#include "base/status.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace bramble::api {
namespace {

std::string_view Trim(std::string_view text) {
  return FromAbsl(absl::StripAsciiWhitespace(ToAbsl(text)));
}

std::vector<std::string> SplitValues(std::string_view text) {
  std::vector<std::string> values;
  for (absl::string_view value : absl::StrSplit(ToAbsl(text), '|')) {
    values.emplace_back(absl::StripAsciiWhitespace(value));
  }
  return values;
}

}  // namespace

absl::StatusOr<LabelTerm> ParseLabelTerm(std::string_view text) {
  LabelTerm term;
  std::string_view key = Trim(text);
  if (const size_t at = key.find(" not in "); at != std::string_view::npos) {
    term.op = LabelOperator::kNotIn;
    term.values = SplitValues(key.substr(at + 8));
    key = Trim(key.substr(0, at));
  } else if (const size_t in = key.find(" in "); in != std::string_view::npos) {
    term.values = SplitValues(key.substr(in + 4));
    key = Trim(key.substr(0, in));
  } else if (const size_t equal = key.find('='); equal != std::string_view::npos) {
    const bool negated = equal > 0 && key[equal - 1] == '!';
    term.op = negated ? LabelOperator::kNotIn : LabelOperator::kIn;
    term.values = SplitValues(key.substr(equal + 1));
    key = Trim(key.substr(0, negated ? equal - 1 : equal));
  } else if (key.starts_with('!')) {
    term.op = LabelOperator::kNotExists;
    key = Trim(key.substr(1));
  } else {
    term.op = LabelOperator::kExists;
  }
  term.key = std::string(key);
  const bool empty_value =
      std::any_of(term.values.begin(), term.values.end(), [](const auto& v) { return v.empty(); });
  if (empty_value || !CheckLabels({{term.key, ""}}, "label").ok()) {
    return absl::InvalidArgumentError(
        StrCat("label condition \"", absl::CHexEscape(std::string(text.substr(0, 100))),
               "\": write key=value, key!=value, \"key in a|b\", \"key not in a|b\", key or !key"));
  }
  return term;
}

std::string ToString(const LabelTerm& term) {
  const std::string values = absl::StrJoin(term.values, "|");
  switch (term.op) {
    case LabelOperator::kIn:
      return StrCat(term.key, "=", values);
    case LabelOperator::kNotIn:
      return StrCat(term.key, "!=", values);
    case LabelOperator::kExists:
      return term.key;
    case LabelOperator::kNotExists:
      return StrCat("!", term.key);
  }
  return term.key;
}

}  // namespace bramble::api
