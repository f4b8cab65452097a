// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which addresses of the cluster's prefix are for what: the table of docs/architecture.md as one
// formula.  Pure.

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace bramble::controller {

// Both ends belong to it; `first` above `last`: none.  Host byte order.
struct AddressRange {
  uint32_t first = 1;
  uint32_t last = 0;

  uint32_t size() const { return first > last ? 0 : last - first + 1; }
  bool Contains(uint32_t address) const { return address >= first && address <= last; }
};

class AddressPlan {
 public:
  static constexpr int kShortest = 16;
  static constexpr int kLongest = 28;

  // "172.16.0.0/24".  kInvalidArgument: malformed, host bits set, or not /16 to /28.
  static absl::StatusOr<AddressPlan> Make(std::string_view prefix);

  int length() const { return length_; }
  std::string gateway() const;  // the controller: the first address
  bool Contains(std::string_view address) const;

  // The /24's table, in shares of 256: nodes .11 to .63, containers .64 to .199, guests .200 to
  // .223, floating .225 to .254.
  AddressRange nodes() const;
  AddressRange containers() const;
  AddressRange guests() const;
  AddressRange floating() const;

  // "172.16.0.64/24" for "172.16.0.64".
  std::string WithLength(std::string_view address) const;

 private:
  uint32_t Share(uint32_t of_256) const;
  uint32_t network_ = 0;
  int length_ = 24;
};

std::string AddressText(uint32_t address);
// 0: not an IPv4 address.
uint32_t ParseAddress(std::string_view text);

// A locally administered unicast MAC, always the same for the same id.
std::string MacOf(std::string_view id);

}  // namespace bramble::controller
