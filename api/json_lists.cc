// SPDX-License-Identifier: Apache-2.0
#include "api/json_lists.h"

#include "base/status.h"

namespace bramble::api {

json::array AddressesToJson(const std::vector<Ipv4>& addresses) {
  json::array array;
  for (const Ipv4 address : addresses) {
    array.emplace_back(address.str());
  }
  return array;
}

std::vector<Ipv4> AddressList(JsonObjectReader& reader, std::string_view key, size_t max) {
  std::vector<Ipv4> addresses;
  for (const std::string& text : reader.StringList(key, max)) {
    const absl::StatusOr<Ipv4> address = Ipv4::Parse(text);
    if (!address.ok()) {
      reader.Fail(key, MessageOf(address.status()));
      break;
    }
    addresses.push_back(*address);
  }
  return addresses;
}

}  // namespace bramble::api
