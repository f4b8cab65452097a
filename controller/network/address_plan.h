// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which addresses of the cluster's prefix are for what: the table of docs/architecture.md as one
// formula.  Pure.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "api/network.h"

#include "absl/status/statusor.h"

namespace bramble::controller {

// Both ends belong to it; `first` above `last`: none.  Host byte order.
struct AddressRange {
  uint32_t first = 1;
  uint32_t last = 0;

  uint32_t size() const { return first > last ? 0 : last - first + 1; }
  bool Contains(uint32_t address) const { return address >= first && address <= last; }
  friend bool operator==(const AddressRange&, const AddressRange&) = default;
};

class AddressPlan {
 public:
  static constexpr int kShortest = 16;
  static constexpr int kLongest = 28;

  // "172.16.0.0/24".  kInvalidArgument: malformed, host bits set, or not /16 to /28.
  static absl::StatusOr<AddressPlan> Make(std::string_view prefix) { return Make(prefix, {}); }
  // `set`: ranges instead of the formula's, by the name of their use.  kInvalidArgument also when
  // two ranges overlap, or one leaves the prefix or holds its network, broadcast or gateway.
  static absl::StatusOr<AddressPlan> Make(std::string_view prefix, const api::IpRanges& set);

  int length() const { return length_; }
  std::string gateway() const;  // the controller: the first address
  bool Contains(std::string_view address) const;

  Ipv4Prefix prefix() const { return Ipv4Prefix(Ipv4(network_), length_); }

  // The /24's table, in shares of 256: servers .2 to .10, nodes .11 to .63, containers .64 to .199,
  // guests .200 to .223, floating .225 to .254.
  AddressRange servers() const { return Range(api::AddressUse::kServers); }
  AddressRange nodes() const { return Range(api::AddressUse::kNodes); }
  AddressRange containers() const { return Range(api::AddressUse::kContainers); }
  AddressRange guests() const { return Range(api::AddressUse::kGuests); }
  AddressRange floating() const { return Range(api::AddressUse::kFloating); }
  AddressRange Range(api::AddressUse use) const { return ranges_[static_cast<size_t>(use)]; }
  api::IpRanges Ranges() const;  // those that are not empty
  // What `address` is for; nullopt: for nothing (outside, network, broadcast, between ranges).
  std::optional<api::AddressUse> UseOf(uint32_t address) const;
  // OK when an object may have `address`: in the prefix, and neither its network, broadcast nor
  // gateway address.  The code of the problem is one of api/network.h.
  absl::Status CheckUsable(Ipv4 address) const;

  // "172.16.0.64/24" for "172.16.0.64".
  std::string WithLength(std::string_view address) const;

 private:
  uint32_t Share(uint32_t of_256) const;
  void ShareOut();
  absl::Status Set(const api::IpRanges& set);

  uint32_t network_ = 0;
  int length_ = 24;
  std::array<AddressRange, std::size(api::kAddressUseNames)> ranges_;
};

std::string AddressText(uint32_t address);
// 0: not an IPv4 address.
uint32_t ParseAddress(std::string_view text);

// A locally administered unicast MAC, always the same for the same id.
std::string MacOf(std::string_view id);

}  // namespace bramble::controller
