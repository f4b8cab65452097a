// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace bramble {

// Lower-case hexadecimal.
std::string HexEncode(std::string_view bytes);
// Takes both cases; kInvalidArgument: an odd length or another character.
absl::StatusOr<std::string> HexDecode(std::string_view text);

// Base 64 of RFC 4648: the URL alphabet without padding, and the standard one with it.
std::string Base64UrlEncode(std::string_view bytes);
std::string Base64Encode(std::string_view bytes);
// Exact: another alphabet, padding, or unused bits that are not zero are refused.
absl::StatusOr<std::string> Base64UrlDecode(std::string_view text);
absl::StatusOr<std::string> Base64Decode(std::string_view text);

// "%41" -> "A"; '+' stays.  kInvalidArgument: a '%' without two hexadecimal digits.
absl::StatusOr<std::string> PercentDecode(std::string_view text);
// Everything but RFC 3986's unreserved characters.
std::string PercentEncode(std::string_view text);

// Whether `text` is UTF-8 (RFC 3629: no surrogates, nothing overlong).
bool IsUtf8(std::string_view text);

}  // namespace bramble
