// SPDX-License-Identifier: Apache-2.0
#include "controller/network/address_plan.h"

#include <algorithm>
#include <charconv>

#include "base/strings.h"

#include "absl/strings/str_format.h"

namespace bramble::controller {
namespace {

// The whole of `text` as a number up to `max`, without leading zeros; -1 otherwise.
int ParseSmall(std::string_view text, int max) {
  int number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  const bool padded = text.size() > 1 && text.front() == '0';
  return whole && !padded && number >= 0 && number <= max ? number : -1;
}

}  // namespace

uint32_t ParseAddress(std::string_view text) {
  uint32_t address = 0;
  for (int part = 0; part < 4; ++part) {
    const size_t dot = text.find('.');
    if ((dot == std::string_view::npos) != (part == 3)) {
      return 0;
    }
    const int number = ParseSmall(text.substr(0, dot), 255);
    if (number < 0) {
      return 0;
    }
    address = address << 8 | static_cast<uint32_t>(number);
    text.remove_prefix(part == 3 ? text.size() : dot + 1);
  }
  return address;
}

std::string AddressText(uint32_t address) {
  return StrCat(address >> 24, ".", address >> 16 & 255, ".", address >> 8 & 255, ".",
                address & 255);
}

std::string MacOf(std::string_view id) {
  // FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv/
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : id) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  }
  hash ^= hash >> 32;
  const auto byte = [hash](int n) { return static_cast<unsigned>(hash >> (8 * n) & 255); };
  // IEEE 802: bit 1 of the first octet says locally administered, bit 0 group.
  return absl::StrFormat("%02x:%02x:%02x:%02x:%02x:%02x", (byte(5) & 0xfcu) | 2u, byte(4), byte(3),
                         byte(2), byte(1), byte(0));
}

absl::StatusOr<AddressPlan> AddressPlan::Make(std::string_view prefix) {
  const size_t slash = prefix.find('/');
  const uint32_t network = ParseAddress(prefix.substr(0, slash));
  const int length =
      slash == std::string_view::npos ? -1 : ParseSmall(prefix.substr(slash + 1), 32);
  if (network == 0 || length < kShortest || length > kLongest) {
    return absl::InvalidArgumentError(StrCat("prefix \"", prefix, "\": write a network from /",
                                             kShortest, " to /", kLongest,
                                             ", such as 172.16.0.0/24"));
  }
  AddressPlan plan;
  plan.length_ = length;
  plan.network_ = network & ~uint32_t{0} << (32 - length);
  if (plan.network_ != network) {
    return absl::InvalidArgumentError(StrCat("prefix \"", prefix, "\": has host bits set; write ",
                                             AddressText(plan.network_), "/", length));
  }
  return plan;
}

uint32_t AddressPlan::Share(uint32_t of_256) const {
  const uint64_t size = uint64_t{1} << (32 - length_);
  return network_ + static_cast<uint32_t>(of_256 * size / 256);
}

std::string AddressPlan::gateway() const { return AddressText(network_ + 1); }

bool AddressPlan::Contains(std::string_view address) const {
  const uint32_t bits = ParseAddress(address);
  return bits != 0 && (bits & ~uint32_t{0} << (32 - length_)) == network_;
}

AddressRange AddressPlan::nodes() const {
  return {std::max(Share(11), network_ + 2), Share(64) - 1};
}

AddressRange AddressPlan::containers() const { return {Share(64), Share(200) - 1}; }

AddressRange AddressPlan::guests() const { return {Share(200), Share(224) - 1}; }

AddressRange AddressPlan::floating() const {
  const uint32_t broadcast = network_ + (uint32_t{1} << (32 - length_)) - 1;
  return {Share(224) + 1, broadcast - 1};
}

std::string AddressPlan::WithLength(std::string_view address) const {
  return StrCat(address, "/", length_);
}

}  // namespace bramble::controller
