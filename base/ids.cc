// SPDX-License-Identifier: Apache-2.0
#include "base/ids.h"

#include <array>
#include <cstdint>

#include "base/status.h"

#include "absl/strings/escaping.h"

namespace bramble {
namespace {

constexpr size_t kMaxNameLength = 63;  // RFC 1035, section 2.3.4: a label has 63 octets or less
constexpr size_t kMaxIdLength = 40;

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

absl::Status Refuse(std::string_view what, std::string_view text, std::string_view rule) {
  // Escaped, because the text may hold control characters that a terminal would obey.
  return absl::InvalidArgumentError(
      StrCat(what, " \"", absl::CHexEscape(std::string(text.substr(0, 100))), "\": ", rule));
}

}  // namespace

absl::Status CheckName(std::string_view what, std::string_view text) {
  constexpr std::string_view kRule =
      "a name is 1 to 63 of a-z, 0-9 and '-', starts with a letter and ends with a letter or digit";
  if (text.empty() || text.size() > kMaxNameLength || !IsLower(text.front()) ||
      text.back() == '-') {
    return Refuse(what, text, kRule);
  }
  for (char c : text) {
    if (!IsLower(c) && !IsDigit(c) && c != '-') {
      return Refuse(what, text, kRule);
    }
  }
  return absl::OkStatus();
}

absl::Status CheckId(std::string_view what, std::string_view text) {
  bool good = !text.empty() && text.size() <= kMaxIdLength;
  for (char c : text) {
    good = good && (IsLower(c) || IsDigit(c) || c == '-');
  }
  return good ? absl::OkStatus() : Refuse(what, text, "an id is 1 to 40 of a-z, 0-9 and '-'");
}

std::string RandomIdText(Random& random) {
  constexpr std::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";
  std::array<unsigned char, 26> bytes;
  random.Fill(bytes.data(), bytes.size());
  std::string text;
  text.reserve(bytes.size());
  for (unsigned char byte : bytes) {
    text.push_back(kAlphabet[byte & 31]);
  }
  return text;
}

}  // namespace bramble
