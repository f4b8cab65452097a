// SPDX-License-Identifier: Apache-2.0
#pragma once

// Debian builds Abseil for C++14, so absl::string_view is a type of its own that does not convert
// to or from std::string_view.  These three bridge the gap; the rest of Bramble uses
// std::string_view.

#include <string>
#include <string_view>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace bramble {

inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view FromAbsl(absl::string_view text) { return {text.data(), text.size()}; }

// The message of `status`; lives as long as the status does.
inline std::string_view MessageOf(const absl::Status& status) { return FromAbsl(status.message()); }

namespace strings_internal {
template <typename T>
decltype(auto) Piece(const T& value) {
  if constexpr (std::is_same_v<T, std::string_view>) {
    return ToAbsl(value);
  } else {
    return (value);
  }
}
}  // namespace strings_internal

// absl::StrCat that takes std::string_view too.
template <typename... Pieces>
std::string StrCat(const Pieces&... pieces) {
  return absl::StrCat(strings_internal::Piece(pieces)...);
}

}  // namespace bramble
