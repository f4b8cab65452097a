// SPDX-License-Identifier: Apache-2.0
#pragma once

// IPv4 addresses and prefixes as values.  Pure.

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace bramble {

class Ipv4 {
 public:
  constexpr Ipv4() = default;                              // 0.0.0.0: "none"
  constexpr explicit Ipv4(uint32_t bits) : bits_(bits) {}  // host byte order

  // Four decimal numbers without leading zeros: "172.16.0.1".
  static absl::StatusOr<Ipv4> Parse(std::string_view text);

  constexpr uint32_t bits() const { return bits_; }
  constexpr bool empty() const { return bits_ == 0; }
  std::string str() const;

  // Wraps at 255.255.255.255.
  friend constexpr Ipv4 operator+(Ipv4 a, int64_t n) {
    return Ipv4(static_cast<uint32_t>(a.bits_ + n));
  }
  friend constexpr int64_t operator-(Ipv4 a, Ipv4 b) {
    return static_cast<int64_t>(a.bits_) - static_cast<int64_t>(b.bits_);
  }
  friend constexpr auto operator<=>(Ipv4, Ipv4) = default;

 private:
  uint32_t bits_ = 0;
};

// A network: an address with no bit set beyond its length.
class Ipv4Prefix {
 public:
  constexpr Ipv4Prefix() = default;
  // The network that holds `address`.  `length` is 0 to 32.
  constexpr Ipv4Prefix(Ipv4 address, int length)
      : network_(address.bits() & MaskBits(length)), length_(static_cast<uint8_t>(length)) {}

  // "172.16.0.0/24"; an address with host bits ("172.16.0.5/24") is refused, and the error names
  // the network.
  static absl::StatusOr<Ipv4Prefix> Parse(std::string_view text);

  constexpr Ipv4 network() const { return network_; }
  constexpr int length() const { return length_; }
  constexpr Ipv4 mask() const { return Ipv4(MaskBits(length_)); }
  constexpr Ipv4 broadcast() const { return Ipv4(network_.bits() | ~MaskBits(length_)); }
  constexpr uint64_t size() const { return uint64_t{1} << (32 - length_); }
  constexpr bool Contains(Ipv4 address) const {
    return (address.bits() & MaskBits(length_)) == network_.bits();
  }
  constexpr bool Overlaps(Ipv4Prefix other) const {
    return Contains(other.network_) || other.Contains(network_);
  }
  // The `n`-th address; 0 is the network itself.
  constexpr Ipv4 At(uint64_t n) const { return network_ + static_cast<int64_t>(n); }
  std::string str() const;

  friend constexpr auto operator<=>(Ipv4Prefix, Ipv4Prefix) = default;

 private:
  static constexpr uint32_t MaskBits(int length) {
    return length == 0 ? 0 : ~uint32_t{0} << (32 - length);
  }
  Ipv4 network_;
  uint8_t length_ = 0;
};

// An address with the length of its network: "172.16.0.64/24".
struct Ipv4Interface {
  Ipv4 address;
  int length = 32;

  static absl::StatusOr<Ipv4Interface> Parse(std::string_view text);
  Ipv4Prefix prefix() const { return Ipv4Prefix(address, length); }
  std::string str() const;
  friend auto operator<=>(const Ipv4Interface&, const Ipv4Interface&) = default;
};

// "host:port", "[v6]:port".  kInvalidArgument unless the port is 1 to 65535.
struct HostPort {
  std::string host;
  uint16_t port = 0;

  // `default_port` is used where the text names none; 0: the text must.
  static absl::StatusOr<HostPort> Parse(std::string_view text, uint16_t default_port = 0);
  std::string str() const;
  friend auto operator<=>(const HostPort&, const HostPort&) = default;
};

}  // namespace bramble

template <>
struct std::hash<bramble::Ipv4> {
  size_t operator()(bramble::Ipv4 address) const noexcept {
    return std::hash<uint32_t>()(address.bits());
  }
};
