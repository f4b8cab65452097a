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

// Takes `word` from the front, and the white space after it.
bool TakeWord(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) {
    return false;
  }
  text = Trim(text.substr(word.size()));
  return true;
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
  std::string_view rest = Trim(text);
  const bool refused = TakeWord(rest, "!");
  // The operator is the first that follows the key: values may hold what looks like another.
  const std::string_view key = rest.substr(0, rest.find_first_of(" \t\r\n=!"));
  rest = Trim(rest.substr(key.size()));
  bool good = true;
  if (rest.empty()) {
    term.op = refused ? LabelOperator::kNotExists : LabelOperator::kExists;
  } else if (TakeWord(rest, "!=") || TakeWord(rest, "not in ")) {
    term.op = LabelOperator::kNotIn;
  } else {
    good = TakeWord(rest, "=") || TakeWord(rest, "in ");
  }
  term.key = std::string(key);
  good = good && CheckLabels({{term.key, ""}}, "label").ok();
  if (term.op == LabelOperator::kIn || term.op == LabelOperator::kNotIn) {
    term.values = SplitValues(rest);
    good = good && !refused &&
           std::all_of(term.values.begin(), term.values.end(), [&term](const std::string& value) {
             return !value.empty() && CheckLabels({{term.key, value}}, "label").ok();
           });
  }
  if (!good) {
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
