// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace bramble::node {

// An Ethernet address.
struct MacAddress {
  std::array<uint8_t, 6> bytes{};

  // Six bytes of two hexadecimal digits: "02:42:ac:10:00:40".
  static absl::StatusOr<MacAddress> Parse(std::string_view text);
  static constexpr MacAddress Broadcast() { return {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}; }
  std::string str() const;  // in lower case
  // IEEE 802: bit 0 of the first byte.
  bool is_group() const { return (bytes[0] & 1) != 0; }

  friend auto operator<=>(const MacAddress&, const MacAddress&) = default;
};

}  // namespace bramble::node
