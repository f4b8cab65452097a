// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace bramble::api {

using Labels = std::map<std::string, std::string>;

inline constexpr size_t kMaxLabels = 64;
inline constexpr size_t kMaxLabelBytes = 253;

// OK when every key is 1 to 63 of [a-z0-9._/-] starting and ending with a letter or digit, every
// value at most kMaxLabelBytes of printable ASCII, and there are at most kMaxLabels.
absl::Status CheckLabels(const Labels& labels, std::string_view path);

}  // namespace bramble::api
