// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/network.h"
#include "api/operation.h"

namespace bramble::api {

//   assigned  to the object of `owner`
//   reserved  kept for the name, MAC or serial of a reservation
//   leased    a guest or a node has it by DHCP
//   foreign   something that is not ours answered for it
//   conflict  it is assigned, and something else answers for it too
enum class AddressState { kAssigned, kReserved, kLeased, kForeign, kConflict };
inline constexpr std::string_view kAddressStateNames[] = {"assigned", "reserved", "leased",
                                                          "foreign", "conflict"};

// One address that is not free: an item of GET /v1/addresses.
struct Address {
  Ipv4 address;
  AddressUse use = AddressUse::kContainers;  // of the range that it lies in
  AddressState state = AddressState::kAssigned;
  ObjectReference owner;  // empty kind: nobody's
  std::string mac;
  std::string note;
};
json::object ToJson(const Address& address);
absl::StatusOr<Address> AddressFromJson(const json::value& value, std::string path = "address");

// An address kept for something: POST /v1/addresses, DELETE /v1/addresses/{name}.  Its name is in
// the DNS.  With a MAC or a serial, DHCP gives it to that machine; a container that is created with
// that name gets it.
struct Reservation {
  std::string name;  // a DNS label
  uint64_t generation = 1;
  Ipv4 address;  // empty in a request: a free one of `use`
  AddressUse use = AddressUse::kServers;
  std::string mac;     // "02:00:00:00:00:01"
  std::string serial;  // of a node's board
  std::string note;
  WallTime created_at{};
  friend bool operator==(const Reservation&, const Reservation&) = default;
};
inline constexpr size_t kMaxReservations = 4096;
json::object ToJson(const Reservation& reservation);
absl::StatusOr<Reservation> ReservationFromJson(const json::value& value,
                                                std::string path = "address",
                                                UnknownKeys unknown = UnknownKeys::kIgnore);

// "02:00:00:00:00:01", in lower case, unicast.  kInvalidArgument otherwise.
absl::StatusOr<std::string> ParseMac(std::string_view text);

}  // namespace bramble::api
