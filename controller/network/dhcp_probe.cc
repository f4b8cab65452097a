// SPDX-License-Identifier: Apache-2.0
#include "controller/network/dhcp_probe.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <map>

#include <boost/asio/posix/stream_descriptor.hpp>

#include "base/fd.h"
#include "base/status.h"
#include "base/timer.h"
#include "controller/network/dhcp_packet.h"

#include "absl/strings/str_format.h"

namespace bramble::controller {
namespace {

constexpr size_t kMacBytes = 6;
constexpr size_t kMaxPacket = 1600;
constexpr size_t kMaxServers = 64;
constexpr std::chrono::milliseconds kBetweenReads{50};

struct Probe {
  Fd fd;
  int interface = 0;
  std::string mac;
};

absl::StatusOr<Probe> OpenProbe(const std::string& interface) {
  Probe probe;
  probe.fd = Fd(::socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_IP)));
  if (!probe.fd.valid()) {
    return Annotate(ErrnoStatus(errno, "packet socket"), "DHCP probe: needs CAP_NET_RAW");
  }
  ifreq request{};
  std::strncpy(request.ifr_name, interface.c_str(), IFNAMSIZ - 1);
  if (::ioctl(probe.fd.get(), SIOCGIFINDEX, &request) != 0) {
    return absl::NotFoundError(StrCat("network interface \"", interface, "\": not found"));
  }
  probe.interface = request.ifr_ifindex;
  if (::ioctl(probe.fd.get(), SIOCGIFHWADDR, &request) != 0) {
    return ErrnoStatus(errno, StrCat("network interface \"", interface, "\""));
  }
  probe.mac.assign(request.ifr_hwaddr.sa_data, kMacBytes);
  sockaddr_ll local{};
  local.sll_family = AF_PACKET;
  local.sll_protocol = htons(ETH_P_IP);
  local.sll_ifindex = probe.interface;
  if (::bind(probe.fd.get(), reinterpret_cast<const sockaddr*>(&local), sizeof(local)) != 0) {
    return ErrnoStatus(errno, StrCat("network interface \"", interface, "\""));
  }
  return probe;
}

absl::Status SendDiscover(const Probe& probe, uint32_t transaction) {
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_protocol = htons(ETH_P_IP);
  to.sll_ifindex = probe.interface;
  to.sll_halen = kMacBytes;
  std::memset(to.sll_addr, 0xff, kMacBytes);
  const std::string packet = MakeDhcpDiscover(probe.mac, transaction);
  const ssize_t sent = ::sendto(probe.fd.get(), packet.data(), packet.size(), MSG_DONTWAIT,
                                reinterpret_cast<const sockaddr*>(&to), sizeof(to));
  return sent < 0 ? absl::UnavailableError(StrCat("DHCP probe: ", std::strerror(errno)))
                  : absl::OkStatus();
}

// Takes in all that has arrived.
void ReadOffers(const Probe& probe, uint32_t transaction, WallTime now,
                std::map<Ipv4, api::RivalDhcp>& found) {
  std::array<char, kMaxPacket> buffer;
  while (found.size() < kMaxServers) {
    sockaddr_ll from{};
    socklen_t size = sizeof(from);
    const ssize_t got = ::recvfrom(probe.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT,
                                   reinterpret_cast<sockaddr*>(&from), &size);
    if (got <= 0) {
      return;
    }
    // What this machine sends itself: its own server's answers to others.
    if (from.sll_pkttype == PACKET_OUTGOING) {
      continue;
    }
    const auto offer =
        ParseDhcpOffer(std::string_view(buffer.data(), static_cast<size_t>(got)), transaction);
    if (offer.has_value()) {
      const auto byte = [&from](int i) { return static_cast<unsigned>(from.sll_addr[i]); };
      found[offer->server] = {offer->server,
                              absl::StrFormat("%02x:%02x:%02x:%02x:%02x:%02x", byte(0), byte(1),
                                              byte(2), byte(3), byte(4), byte(5)),
                              now};
    }
  }
}

}  // namespace

asio::awaitable<absl::StatusOr<std::vector<api::RivalDhcp>>> ProbeForDhcp(std::string interface,
                                                                          uint32_t transaction,
                                                                          WallTime now) {
  BRAMBLE_CO_ASSIGN_OR_RETURN(const Probe probe, OpenProbe(interface));
  BRAMBLE_CO_RETURN_IF_ERROR(SendDiscover(probe, transaction));
  std::map<Ipv4, api::RivalDhcp> found;
  for (LoopDuration waited{}; waited < kDhcpProbeWait; waited += kBetweenReads) {
    co_await SleepFor(kBetweenReads);
    ReadOffers(probe, transaction, now, found);
  }
  std::vector<api::RivalDhcp> servers;
  for (auto& [address, server] : found) {
    servers.push_back(std::move(server));
  }
  co_return servers;
}

}  // namespace bramble::controller
