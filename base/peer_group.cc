// SPDX-License-Identifier: Apache-2.0
#include "base/peer_group.h"

#include <arpa/inet.h>

#include <algorithm>

namespace bramble {

std::string PeerGroupOf(const std::string& address) {
  constexpr int kPrefixBytes = 8;
  in6_addr bits{};
  if (::inet_pton(AF_INET6, address.substr(0, address.find('%')).c_str(), &bits) != 1) {
    return address;
  }
  std::fill(std::begin(bits.s6_addr) + kPrefixBytes, std::end(bits.s6_addr), uint8_t{0});
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(AF_INET6, &bits, text, sizeof(text));
  return std::string(text) + "/64";
}

}  // namespace bramble
