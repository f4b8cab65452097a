// SPDX-License-Identifier: Apache-2.0
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <memory>

#include <boost/asio/posix/stream_descriptor.hpp>

#include "base/status.h"
#include "node/network/arp_channel.h"
#include "node/network/packet_socket.h"

namespace bramble::node {
namespace {

// ldh [12]; jeq #0x806; accept or drop: ARP only, before anything is copied to us.
constexpr std::array<sock_filter, 4> kOnlyArp = {{{BPF_LD | BPF_H | BPF_ABS, 0, 0, 12},
                                                  {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, ETH_P_ARP},
                                                  {BPF_RET | BPF_K, 0, 0, 128},
                                                  {BPF_RET | BPF_K, 0, 0, 0}}};

}  // namespace

// Lives as long as a wait of its own is under way, so that the channel can go at any moment.
struct PacketArpChannel::Socket : std::enable_shared_from_this<Socket> {
  Socket(asio::io_context& loop, Fd fd, int index)
      : descriptor(loop, fd.Release()), interface_index(index) {}

  void Wait() {
    descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                          [self = shared_from_this()](boost::system::error_code error) {
                            if (!error) {
                              self->Read();
                              self->Wait();
                            }
                          });
  }

  void Read() {
    std::array<char, 128> buffer;
    sockaddr_ll from = {};
    socklen_t size = sizeof(from);
    const ssize_t n = ::recvfrom(descriptor.native_handle(), buffer.data(), buffer.size(),
                                 MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&from), &size);
    if (n <= 0 || from.sll_pkttype == PACKET_OUTGOING || !listener) {
      return;
    }
    if (const auto frame = DecodeArp({buffer.data(), static_cast<size_t>(n)}); frame.has_value()) {
      listener(*frame);
    }
  }

  asio::posix::stream_descriptor descriptor;
  const int interface_index;
  std::function<void(const ArpFrame&)> listener;
};

absl::StatusOr<std::unique_ptr<PacketArpChannel>> PacketArpChannel::Open(
    asio::io_context& loop, const std::string& interface, Hear hear) {
  BRAMBLE_ASSIGN_OR_RETURN(const Interface found, FindInterface(interface));
  BRAMBLE_ASSIGN_OR_RETURN(
      Fd fd, OpenPacketSocket(found.index, hear == Hear::kOwn ? ETH_P_ARP : ETH_P_ALL));
  const sock_fprog program = {.len = kOnlyArp.size(),
                              .filter = const_cast<sock_filter*>(kOnlyArp.data())};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) != 0) {
    return ErrnoStatus(errno, "packet socket");
  }
  auto socket = std::make_shared<Socket>(loop, std::move(fd), found.index);
  socket->Wait();
  return std::unique_ptr<PacketArpChannel>(new PacketArpChannel(std::move(socket), found.mac));
}

PacketArpChannel::~PacketArpChannel() {
  socket_->listener = nullptr;
  boost::system::error_code ignored;
  socket_->descriptor.close(ignored);
}

absl::Status PacketArpChannel::Send(const ArpFrame& frame) {
  return SendFrame(socket_->descriptor.native_handle(), socket_->interface_index, EncodeArp(frame));
}

void PacketArpChannel::OnFrame(std::function<void(const ArpFrame&)> listener) {
  socket_->listener = std::move(listener);
}

}  // namespace bramble::node
