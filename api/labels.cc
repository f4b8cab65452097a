// SPDX-License-Identifier: Apache-2.0
#include "api/labels.h"

#include <algorithm>

#include "base/strings.h"

#include "absl/strings/escaping.h"

namespace bramble::api {
namespace {

constexpr size_t kMaxKeyBytes = 63;

bool IsAlphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool IsKey(std::string_view key) {
  return !key.empty() && key.size() <= kMaxKeyBytes && IsAlphanumeric(key.front()) &&
         IsAlphanumeric(key.back()) && std::all_of(key.begin(), key.end(), [](char c) {
           return IsAlphanumeric(c) || c == '.' || c == '/' || c == '-' || c == '_';
         });
}

bool IsPrintable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

}  // namespace

absl::Status CheckLabels(const Labels& labels, std::string_view path) {
  if (labels.size() > kMaxLabels) {
    return absl::InvalidArgumentError(
        StrCat(path, ": ", labels.size(), " labels; the limit is ", kMaxLabels));
  }
  for (const auto& [key, value] : labels) {
    if (!IsKey(key)) {
      return absl::InvalidArgumentError(
          StrCat(path, ": label key \"", absl::CHexEscape(key.substr(0, 80)),
                 "\": write 1 to 63 of a-z, 0-9, '.', '/', '-', '_', with a letter or digit at "
                 "both ends"));
    }
    if (value.size() > kMaxLabelBytes || !IsPrintable(value)) {
      return absl::InvalidArgumentError(StrCat(path, ": the value of label \"", key,
                                               "\" must be at most ", kMaxLabelBytes,
                                               " printable ASCII characters"));
    }
  }
  return absl::OkStatus();
}

}  // namespace bramble::api
