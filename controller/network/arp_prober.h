// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/asio.h"
#include "base/ip.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/timer.h"
#include "controller/seams.h"

#include "absl/status/statusor.h"

namespace bramble::controller {

// Asks by ARP on one interface, as RFC 5227 has a host do before it takes an address.  Needs
// CAP_NET_RAW.  Loop only.
class ArpProber : public AddressProber {
 public:
  // kNotFound: no such interface; kPermissionDenied: no CAP_NET_RAW.
  static absl::StatusOr<std::unique_ptr<ArpProber>> Open(asio::io_context& loop,
                                                         const std::string& interface, Logger log);
  ~ArpProber() override;

  void Probe(std::string address, Done done) override;
  void WhoHas(std::string address, WhoDone done) override;

 private:
  struct Socket;
  struct Waiting {
    explicit Waiting(asio::io_context& loop) : answered(loop) {}
    Event answered;
    std::set<std::string> macs;
  };
  ArpProber(asio::io_context& loop, std::unique_ptr<Socket> socket, Logger log);
  asio::awaitable<void> ReadAnswers();
  asio::awaitable<void> ProbeOne(Ipv4 address, Done done);
  asio::awaitable<void> AskWhoHas(Ipv4 address, WhoDone done);

  asio::io_context& loop_;
  const Logger log_;
  std::unique_ptr<Socket> socket_;
  std::multimap<Ipv4, std::shared_ptr<Waiting>> waiting_;
  Scope scope_;
};

// Where there is no interface to ask on: every address counts as free.
class NoProber : public AddressProber {
 public:
  explicit NoProber(asio::io_context& loop) : loop_(loop) {}
  void Probe(std::string address, Done done) override;
  void WhoHas(std::string address, WhoDone done) override;

 private:
  asio::io_context& loop_;
};

// ---- The packets (RFC 826), as bytes after the Ethernet header.

inline constexpr size_t kArpBytes = 28;
// A probe: the sender's address is 0.0.0.0.  `mac` is 6 bytes.
std::string MakeArpProbe(std::string_view mac, Ipv4 address);
// The address that the sender of `packet` uses or probes for; 0.0.0.0: not an ARP packet for IPv4
// over Ethernet, or sent by `own_mac`.
Ipv4 ArpClaim(std::string_view packet, std::string_view own_mac);
// The MAC address of the sender of an ARP packet that ArpClaim took: "02:00:00:00:00:01".
std::string ArpSender(std::string_view packet);

}  // namespace bramble::controller
