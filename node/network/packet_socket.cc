// SPDX-License-Identifier: Apache-2.0
#include "node/network/packet_socket.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/status.h"

namespace bramble::node {

absl::StatusOr<Interface> FindInterface(const std::string& name) {
  const Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = {};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  if (!fd.valid() || ::ioctl(fd.get(), SIOCGIFINDEX, &request) != 0) {
    return absl::NotFoundError(StrCat("network interface \"", name, "\": not found"));
  }
  Interface interface { .index = request.ifr_ifindex };
  if (::ioctl(fd.get(), SIOCGIFHWADDR, &request) != 0) {
    return ErrnoStatus(errno, StrCat("network interface \"", name, "\""));
  }
  memcpy(interface.mac.bytes.data(), request.ifr_hwaddr.sa_data, interface.mac.bytes.size());
  return interface;
}

absl::StatusOr<Fd> OpenPacketSocket(int interface_index, uint16_t ether_type) {
  Fd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) {
    return ErrnoStatus(errno, "packet socket");
  }
  sockaddr_ll local = {};
  local.sll_family = AF_PACKET;
  local.sll_protocol = htons(ether_type);
  local.sll_ifindex = interface_index;
  if (ether_type != 0 &&
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&local), sizeof(local)) != 0) {
    return ErrnoStatus(errno, "packet socket");
  }
  return fd;
}

absl::Status SendFrame(int fd, int interface_index, std::string_view frame) {
  sockaddr_ll to = {};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = interface_index;
  to.sll_halen = ETH_ALEN;
  memcpy(to.sll_addr, frame.data(), ETH_ALEN);
  const ssize_t sent = ::sendto(fd, frame.data(), frame.size(), MSG_DONTWAIT,
                                reinterpret_cast<const sockaddr*>(&to), sizeof(to));
  if (sent == static_cast<ssize_t>(frame.size())) {
    return absl::OkStatus();
  }
  if (errno == ENETDOWN || errno == ENOBUFS || errno == ENXIO) {
    return absl::UnavailableError(StrCat("frame not sent: ", strerror(errno)));
  }
  return ErrnoStatus(errno, "frame not sent");
}

}  // namespace bramble::node
