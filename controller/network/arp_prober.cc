// SPDX-License-Identifier: Apache-2.0
#include "controller/network/arp_prober.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>

#include "base/fd.h"
#include "base/status.h"

#include "absl/strings/str_format.h"

namespace bramble::controller {
namespace {

// RFC 5227 takes 3 probes over some seconds; a deployment cannot wait that long, and the pool is
// probed ahead.
constexpr int kProbes = 2;
constexpr std::chrono::milliseconds kBetweenProbes{200};
constexpr std::chrono::milliseconds kAfterLast{300};
constexpr size_t kMacBytes = 6;
constexpr size_t kMaxMacs = 16;  // that answer for one address

std::string Big16(uint16_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}

std::string Big32(uint32_t value) {
  return Big16(static_cast<uint16_t>(value >> 16)) + Big16(static_cast<uint16_t>(value));
}

Ipv4 AddressAt(std::string_view packet, size_t at) {
  uint32_t bits = 0;
  for (size_t i = 0; i < 4; ++i) {
    bits = bits << 8 | static_cast<unsigned char>(packet[at + i]);
  }
  return Ipv4(bits);
}

}  // namespace

std::string MakeArpProbe(std::string_view mac, Ipv4 address) {
  return Big16(ARPHRD_ETHER) + Big16(ETHERTYPE_IP) + std::string{kMacBytes, 4} +
         Big16(ARPOP_REQUEST) + std::string(mac) + Big32(0) + std::string(kMacBytes, '\0') +
         Big32(address.bits());
}

Ipv4 ArpClaim(std::string_view packet, std::string_view own_mac) {
  const std::string head = Big16(ARPHRD_ETHER) + Big16(ETHERTYPE_IP) + std::string{kMacBytes, 4};
  if (packet.size() < kArpBytes || !packet.starts_with(head) ||
      packet.substr(8, kMacBytes) == own_mac) {
    return Ipv4();
  }
  const Ipv4 sender = AddressAt(packet, 14);
  // Somebody else's probe for an address claims it too (RFC 5227, 2.1.1).
  return sender.empty() ? AddressAt(packet, 24) : sender;
}

std::string ArpSender(std::string_view packet) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(packet[8 + i]); };
  return absl::StrFormat("%02x:%02x:%02x:%02x:%02x:%02x", byte(0), byte(1), byte(2), byte(3),
                         byte(4), byte(5));
}

struct ArpProber::Socket {
  asio::posix::stream_descriptor descriptor;
  int interface = 0;
  std::string mac;

  absl::Status Send(Ipv4 address) {
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_protocol = htons(ETH_P_ARP);
    to.sll_ifindex = interface;
    to.sll_halen = kMacBytes;
    std::memset(to.sll_addr, 0xff, kMacBytes);
    const std::string packet = MakeArpProbe(mac, address);
    const ssize_t sent = ::sendto(descriptor.native_handle(), packet.data(), packet.size(),
                                  MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&to), sizeof(to));
    return sent < 0 ? ErrnoStatus(errno, "ARP probe") : absl::OkStatus();
  }
};

absl::StatusOr<std::unique_ptr<ArpProber>> ArpProber::Open(asio::io_context& loop,
                                                           const std::string& interface,
                                                           Logger log) {
  Fd fd(::socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ARP)));
  if (!fd.valid()) {
    return Annotate(ErrnoStatus(errno, "packet socket"),
                    StrCat("network interface ", interface, ": probing needs CAP_NET_RAW"));
  }
  ifreq request{};
  std::strncpy(request.ifr_name, interface.c_str(), IFNAMSIZ - 1);
  if (::ioctl(fd.get(), SIOCGIFINDEX, &request) != 0) {
    return absl::NotFoundError(
        StrCat("network interface \"", interface, "\": not found; correct [network] interface"));
  }
  const int index = request.ifr_ifindex;
  if (::ioctl(fd.get(), SIOCGIFHWADDR, &request) != 0) {
    return ErrnoStatus(errno, StrCat("network interface \"", interface, "\""));
  }
  const std::string mac(request.ifr_hwaddr.sa_data, kMacBytes);
  sockaddr_ll local{};
  local.sll_family = AF_PACKET;
  local.sll_protocol = htons(ETH_P_ARP);
  local.sll_ifindex = index;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&local), sizeof(local)) != 0) {
    return ErrnoStatus(errno, StrCat("network interface \"", interface, "\""));
  }
  auto socket = std::unique_ptr<Socket>(
      new Socket{.descriptor = asio::posix::stream_descriptor(loop, fd.Release()),
                 .interface = index,
                 .mac = mac});
  std::unique_ptr<ArpProber> prober(new ArpProber(loop, std::move(socket), log));
  Spawn(prober->scope_, "arp_answers", prober->ReadAnswers());
  return prober;
}

ArpProber::ArpProber(asio::io_context& loop, std::unique_ptr<Socket> socket, Logger log)
    : loop_(loop), log_(log), socket_(std::move(socket)), scope_(loop, log) {}

ArpProber::~ArpProber() = default;

void ArpProber::Probe(std::string address, Done done) {
  const absl::StatusOr<Ipv4> parsed = Ipv4::Parse(address);
  Spawn(scope_, "arp_probe", ProbeOne(parsed.value_or(Ipv4()), std::move(done)));
}

asio::awaitable<void> ArpProber::ProbeOne(Ipv4 address, Done done) {
  const auto waiting = std::make_shared<Waiting>(loop_);
  const auto at = waiting_.emplace(address, waiting);
  bool in_use = false;
  for (int i = 0; i < kProbes && !in_use; ++i) {
    if (const absl::Status sent = socket_->Send(address); !sent.ok()) {
      log_.Warn("arp_probe_failed", {{"address", address}, {"error", sent}});
    }
    in_use = co_await waiting->answered.WaitFor(i + 1 < kProbes ? kBetweenProbes : kAfterLast);
  }
  waiting_.erase(at);
  done(in_use);
}

void ArpProber::WhoHas(std::string address, WhoDone done) {
  const absl::StatusOr<Ipv4> parsed = Ipv4::Parse(address);
  Spawn(scope_, "arp_who_has", AskWhoHas(parsed.value_or(Ipv4()), std::move(done)));
}

asio::awaitable<void> ArpProber::AskWhoHas(Ipv4 address, WhoDone done) {
  const auto waiting = std::make_shared<Waiting>(loop_);
  const auto at = waiting_.emplace(address, waiting);
  if (const absl::Status sent = socket_->Send(address); !sent.ok()) {
    log_.Warn("arp_probe_failed", {{"address", address}, {"error", sent}});
  }
  co_await SleepFor(kAfterLast);  // all who answer, not the first
  waiting_.erase(at);
  done({waiting->macs.begin(), waiting->macs.end()});
}

asio::awaitable<void> ArpProber::ReadAnswers() {
  std::array<char, 128> buffer;
  while (true) {
    co_await socket_->descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                            asio::use_awaitable);
    const ssize_t got =
        ::recv(socket_->descriptor.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got <= 0) {
      continue;
    }
    const std::string_view packet(buffer.data(), static_cast<size_t>(got));
    const Ipv4 claimed = ArpClaim(packet, socket_->mac);
    const auto [begin, end] = waiting_.equal_range(claimed);
    for (auto at = begin; at != end; ++at) {
      if (at->second->macs.size() < kMaxMacs) {
        at->second->macs.insert(ArpSender(packet));
      }
      at->second->answered.Set();
    }
  }
}

void NoProber::WhoHas(std::string /*address*/, WhoDone done) {
  asio::post(loop_, [done = std::move(done)] { done({}); });
}

void NoProber::Probe(std::string /*address*/, Done done) {
  asio::post(loop_, [done = std::move(done)] { done(/*in_use=*/false); });
}

}  // namespace bramble::controller
