// SPDX-License-Identifier: Apache-2.0
#pragma once

// What dnsmasq is told: typed in, text out.  Pure.  Nothing reaches a file that could start a line
// or an option of its own: every value is an address, a MAC, a DNS label or a path that was
// checked here.
//
// Three files, because dnsmasq reads the last two again on SIGHUP and the first only when it
// starts: names and known machines change all the time, and a restart would lose queries.
// Source: dnsmasq(8), NOTES.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "api/node_network.h"
#include "controller/network/address_plan.h"

#include "absl/status/statusor.h"

namespace bramble::controller {

// A machine that DHCP knows: any of its cards, or the client id of its board, gets the address.
struct DhcpHost {
  std::vector<std::string> macs;
  std::string serial;  // of the board; asked for with the client id "bramble-SERIAL"
  Ipv4 address;
  std::string name;  // a DNS label; empty: none

  friend bool operator==(const DhcpHost&, const DhcpHost&) = default;
};

struct DnsmasqSettings {
  std::string interface;
  Ipv4Prefix prefix;
  Ipv4 gateway;
  AddressRange node_range;   // for our cards (by vendor class) that are not known yet
  AddressRange guest_range;  // for everybody else, when `guests`
  bool guests = false;
  bool router = false;  // clients get us as their way out: only where we masquerade
  std::vector<Ipv4> upstream;
  uint16_t dns_port = 53;
  std::vector<api::NameRecord> names;
  std::vector<DhcpHost> hosts;

  friend bool operator==(const DnsmasqSettings&, const DnsmasqSettings&) = default;
};

struct DnsmasqPaths {
  std::filesystem::path directory;  // of the three files
  std::filesystem::path leases;
  std::filesystem::path Config() const { return directory / "dnsmasq.conf"; }
  std::filesystem::path Names() const { return directory / "names"; }
  std::filesystem::path Hosts() const { return directory / "dhcp-hosts"; }
};

struct DnsmasqFiles {
  std::string config;
  std::string names;  // in the form of hosts(5)
  std::string hosts;  // lines of dhcp-host
};

// The DHCP vendor class (option 60) that our cards ask with.
inline constexpr char kNodeVendorClass[] = "bramble-node";
// The DHCP option in which they find "172.16.0.1:8444" (224 to 254 are for private use, RFC 3942).
inline constexpr int kControllerOption = 224;
inline constexpr int64_t kLeaseSeconds = 12 * 3600;
inline constexpr size_t kMaxDhcpLeases = 65536;

// kInvalidArgument names the value that must not go into a configuration.
absl::StatusOr<DnsmasqFiles> WriteDnsmasqFiles(const DnsmasqSettings& settings,
                                               const DnsmasqPaths& paths);

// The reverse zones of a prefix: "0.16.172.in-addr.arpa"; several where it ends between two dots.
std::vector<std::string> ReverseZones(Ipv4Prefix prefix);

// One line of dnsmasq's lease file.
struct DhcpLease {
  int64_t expires_s = 0;  // since 1970; 0: never
  std::string mac;
  Ipv4 address;
  friend bool operator==(const DhcpLease&, const DhcpLease&) = default;
};
// What cannot be read is left out: the file is dnsmasq's.
std::vector<DhcpLease> ParseLeases(std::string_view text);

}  // namespace bramble::controller
