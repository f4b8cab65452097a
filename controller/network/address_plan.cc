// SPDX-License-Identifier: Apache-2.0
#include "controller/network/address_plan.h"

#include <algorithm>
#include <charconv>

#include "api/problem.h"
#include "base/status.h"
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

absl::StatusOr<AddressPlan> AddressPlan::Make(std::string_view prefix, const api::IpRanges& set) {
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
  plan.ShareOut();
  BRAMBLE_RETURN_IF_ERROR(plan.Set(set));
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

void AddressPlan::ShareOut() {
  const auto range = [this](api::AddressUse use) -> AddressRange& {
    return ranges_[static_cast<size_t>(use)];
  };
  const uint32_t broadcast = network_ + (uint32_t{1} << (32 - length_)) - 1;
  const uint32_t first_node = std::max(Share(11), network_ + 2);
  range(api::AddressUse::kGateway) = {network_ + 1, network_ + 1};
  range(api::AddressUse::kServers) = {network_ + 2, first_node - 1};
  range(api::AddressUse::kNodes) = {first_node, Share(64) - 1};
  range(api::AddressUse::kContainers) = {Share(64), Share(200) - 1};
  range(api::AddressUse::kGuests) = {Share(200), Share(224) - 1};
  range(api::AddressUse::kFloating) = {Share(224) + 1, broadcast - 1};
}

absl::Status AddressPlan::Set(const api::IpRanges& set) {
  for (size_t i = 1; i < ranges_.size(); ++i) {
    const auto found = set.find(std::string(api::kAddressUseNames[i]));
    if (found == set.end()) {
      continue;
    }
    for (const Ipv4 end : {found->second.first, found->second.last}) {
      if (absl::Status usable = CheckUsable(end); !usable.ok()) {
        return Annotate(usable, StrCat("range \"", api::kAddressUseNames[i], "\""));
      }
    }
    ranges_[i] = {found->second.first.bits(), found->second.last.bits()};
  }
  for (size_t i = 0; i < ranges_.size(); ++i) {
    for (size_t j = i + 1; j < ranges_.size(); ++j) {
      const AddressRange& a = ranges_[i];
      const AddressRange& b = ranges_[j];
      if (a.size() > 0 && b.size() > 0 && a.first <= b.last && b.first <= a.last) {
        return api::WithCode(absl::InvalidArgumentError(StrCat(
                                 "ranges \"", api::kAddressUseNames[i], "\" (",
                                 AddressText(a.first), "-", AddressText(a.last), ") and \"",
                                 api::kAddressUseNames[j], "\" (", AddressText(b.first), "-",
                                 AddressText(b.last), ") overlap; set both so that they do not")),
                             api::kCodeRangesOverlap);
      }
    }
  }
  return absl::OkStatus();
}

api::IpRanges AddressPlan::Ranges() const {
  api::IpRanges ranges;
  for (size_t i = 1; i < ranges_.size(); ++i) {
    if (ranges_[i].size() > 0) {
      ranges[std::string(api::kAddressUseNames[i])] = {Ipv4(ranges_[i].first),
                                                       Ipv4(ranges_[i].last)};
    }
  }
  return ranges;
}

std::optional<api::AddressUse> AddressPlan::UseOf(uint32_t address) const {
  for (size_t i = 0; i < ranges_.size(); ++i) {
    if (ranges_[i].Contains(address)) {
      return static_cast<api::AddressUse>(i);
    }
  }
  return std::nullopt;
}

absl::Status AddressPlan::CheckUsable(Ipv4 address) const {
  if (!prefix().Contains(address)) {
    return api::WithCode(
        absl::InvalidArgumentError(
            StrCat("address ", address.str(), ": outside of the prefix ", prefix().str())),
        api::kCodeAddressOutside);
  }
  const bool network = address == prefix().network();
  const bool broadcast = address == prefix().broadcast();
  if (network || broadcast || address.str() == gateway()) {
    return api::WithCode(
        absl::InvalidArgumentError(StrCat("address ", address.str(), ": is the ",
                                          network     ? "network"
                                          : broadcast ? "broadcast"
                                                      : "controller's own",
                                          " address of ", prefix().str(), "; choose another")),
        api::kCodeAddressUnusable);
  }
  return absl::OkStatus();
}

std::string AddressPlan::WithLength(std::string_view address) const {
  return StrCat(address, "/", length_);
}

}  // namespace bramble::controller
