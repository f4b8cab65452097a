// SPDX-License-Identifier: Apache-2.0
#include "node/network/mac_address.h"

#include <charconv>

#include "base/strings.h"

namespace bramble::node {
namespace {

constexpr size_t kTextBytes = 17;

}  // namespace

absl::StatusOr<MacAddress> MacAddress::Parse(std::string_view text) {
  MacAddress mac;
  bool good = text.size() == kTextBytes;
  for (size_t i = 0; good && i < mac.bytes.size(); ++i) {
    const char* begin = text.data() + i * 3;
    const auto [end, error] = std::from_chars(begin, begin + 2, mac.bytes[i], 16);
    good = error == std::errc() && end == begin + 2 && (i == 5 || begin[2] == ':');
  }
  if (!good) {
    return absl::InvalidArgumentError(
        StrCat("MAC address \"", text.substr(0, 40), "\": write six bytes as 02:42:ac:10:00:40"));
  }
  return mac;
}

std::string MacAddress::str() const {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : bytes) {
    text += text.empty() ? "" : ":";
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace bramble::node
