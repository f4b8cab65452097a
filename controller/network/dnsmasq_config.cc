// SPDX-License-Identifier: Apache-2.0
#include "controller/network/dnsmasq_config.h"

#include <algorithm>
#include <map>

#include "api/address.h"
#include "base/ids.h"
#include "base/status.h"
#include "controller/network/zone.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace bramble::controller {
namespace {

constexpr size_t kMaxInterfaceName = 15;  // IFNAMSIZ - 1
constexpr size_t kMaxPath = 1024;
constexpr int kDnsCache = 10'000;
constexpr int kDnsQueries = 1'000;

constexpr std::string_view kNameCharacters = "abcdefghijklmnopqrstuvwxyz0123456789-.";

absl::Status Refused(std::string_view what, std::string_view value) {
  std::string shown;
  for (const char c : value.substr(0, 60)) {
    shown += c >= ' ' && c <= '~' ? c : '?';
  }
  return absl::InvalidArgumentError(
      StrCat("dnsmasq configuration: ", what, " \"", shown, "\" cannot be written into it"));
}

absl::Status CheckInterface(const std::string& name) {
  const bool good = !name.empty() && name.size() <= kMaxInterfaceName && name[0] != '-' &&
                    std::all_of(name.begin(), name.end(), [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                             (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
                    });
  return good ? absl::OkStatus() : Refused("interface", name);
}

// dnsmasq takes the rest of the line, without white space at its end and up to a '#'.
absl::Status CheckPath(const std::string& path) {
  const bool good = path.starts_with('/') && path.size() <= kMaxPath &&
                    std::all_of(path.begin(), path.end(), [](char c) {
                      return c > ' ' && c <= '~' && c != '#' && c != '"' && c != '\\';
                    });
  return good ? absl::OkStatus() : Refused("path", path);
}

absl::StatusOr<std::string> NamesText(const DnsmasqSettings& settings) {
  // One line an address; the first name of a line is what the address is called.
  std::map<Ipv4, std::pair<std::string, std::vector<std::string>>> lines;
  for (const api::NameRecord& record : settings.names) {
    if (record.name.empty() || record.name.size() > 253 ||
        record.name.find_first_not_of(kNameCharacters) != std::string::npos) {
      return Refused("name", record.name);
    }
    auto& [first, others] = lines[record.address];
    if (record.reverse && first.empty()) {
      first = record.name;
    } else {
      others.push_back(record.name);
    }
  }
  std::string text;
  for (const auto& [address, names] : lines) {
    text += address.str();
    if (!names.first.empty()) {
      text += StrCat(" ", names.first);
    }
    for (const std::string& other : names.second) {
      text += StrCat(" ", other);
    }
    text += '\n';
  }
  return text;
}

absl::StatusOr<std::string> HostsText(const DnsmasqSettings& settings) {
  std::string text;
  for (const DhcpHost& host : settings.hosts) {
    std::string line;
    for (const std::string& mac : host.macs) {
      const absl::StatusOr<std::string> parsed = api::ParseMac(mac);
      if (!parsed.ok()) {
        return Refused("MAC address", mac);
      }
      line += StrCat(*parsed, ",");
    }
    if (!host.serial.empty()) {
      if (host.serial.size() > 64 ||
          host.serial.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                        "0123456789-_.") != std::string::npos) {
        return Refused("serial", host.serial);
      }
      line += StrCat("id:bramble-", host.serial, ",");
    }
    if (line.empty()) {
      continue;
    }
    line += StrCat("set:ours,", host.address.str());
    if (!host.name.empty()) {
      BRAMBLE_RETURN_IF_ERROR(CheckName("name", host.name));
      line += StrCat(",", host.name);
    }
    text += StrCat(line, "\n");
  }
  return text;
}

std::string DhcpText(const DnsmasqSettings& settings, const DnsmasqPaths& paths) {
  const std::string mask = settings.prefix.mask().str();
  std::string text;
  const auto line = [&text](auto... parts) { text += StrCat(parts..., "\n"); };
  // Who is not known is not answered, unless guests are on: a school's own DHCP server is not
  // disturbed.
  line("dhcp-authoritative");
  line("dhcp-vendorclass=set:card,", kNodeVendorClass);
  line("dhcp-range=set:cluster,", settings.prefix.network().str(), ",static,", mask, ",",
       kLeaseSeconds);
  if (settings.node_range.size() > 0) {
    line("dhcp-range=tag:card,", AddressText(settings.node_range.first), ",",
         AddressText(settings.node_range.last), ",", mask, ",", kLeaseSeconds);
  }
  if (settings.guests && settings.guest_range.size() > 0) {
    line("dhcp-range=tag:!card,", AddressText(settings.guest_range.first), ",",
         AddressText(settings.guest_range.last), ",", mask, ",", kLeaseSeconds);
  } else {
    line("dhcp-ignore=tag:!known,tag:!card");
  }
  line("dhcp-hostsfile=", paths.Hosts().string());
  line("dhcp-leasefile=", paths.leases.string());
  line("dhcp-lease-max=", std::min<uint64_t>(kMaxDhcpLeases, settings.prefix.size()));
  // What a client calls itself never becomes a name.
  line("dhcp-ignore-names");
  // dnsmasq would wait 3 s for each new client; addresses are probed by us, and clients by RFC
  // 5227.
  line("no-ping");
  if (settings.router) {
    line("dhcp-option=option:router,", settings.gateway.str());
  } else {
    line("dhcp-option=option:router");
  }
  line("dhcp-option=option:dns-server,", settings.gateway.str());
  line("dhcp-option=option:ntp-server,", settings.gateway.str());
  line("dhcp-option=option:domain-name,", kDomain);
  line("dhcp-option=tag:card,", kControllerOption, ",\"", settings.gateway.str(), ":8444\"");
  return text;
}

}  // namespace

std::vector<std::string> ReverseZones(Ipv4Prefix prefix) {
  std::vector<std::string> zones;
  const int labels = std::max(1, std::min(3, (prefix.length() + 7) / 8));
  const int whole = labels * 8;
  const uint64_t step = uint64_t{1} << (32 - whole);
  const uint64_t count = prefix.length() >= whole ? 1 : prefix.size() / step;
  for (uint64_t i = 0; i < count; ++i) {
    const uint32_t bits = prefix.network().bits() + static_cast<uint32_t>(i * step);
    std::string zone;
    for (int label = labels - 1; label >= 0; --label) {
      zone += StrCat(bits >> (24 - 8 * label) & 255, ".");
    }
    zones.push_back(StrCat(zone, "in-addr.arpa"));
  }
  return zones;
}

absl::StatusOr<DnsmasqFiles> WriteDnsmasqFiles(const DnsmasqSettings& settings,
                                               const DnsmasqPaths& paths) {
  BRAMBLE_RETURN_IF_ERROR(CheckInterface(settings.interface));
  for (const std::filesystem::path& path :
       {paths.Config(), paths.Names(), paths.Hosts(), paths.leases}) {
    BRAMBLE_RETURN_IF_ERROR(CheckPath(path.string()));
  }
  DnsmasqFiles files;
  BRAMBLE_ASSIGN_OR_RETURN(files.names, NamesText(settings));
  BRAMBLE_ASSIGN_OR_RETURN(files.hosts, HostsText(settings));
  std::string& text = files.config;
  const auto line = [&text](auto... parts) { text += StrCat(parts..., "\n"); };
  line("# Written by bramble-controller; changed at its next start.");
  line("keep-in-foreground");
  line("log-facility=-");
  line("pid-file=");
  // It is started with the rights that it needs, and has nobody to become.
  line("user=");
  line("group=");
  line("no-hosts");
  line("no-resolv");
  line("no-poll");
  line("interface=", settings.interface);
  line("except-interface=lo");
  line("bind-dynamic");
  line("port=", settings.dns_port);
  line("cache-size=", kDnsCache);
  line("dns-forward-max=", kDnsQueries);
  line("domain-needed");
  line("stop-dns-rebind");
  line("rebind-domain-ok=", kDomain);
  line("local-ttl=5");
  line("addn-hosts=", paths.Names().string());
  // Ours alone: what is not in the file does not exist, whatever an upstream says.
  line("local=/", kDomain, "/");
  for (const std::string& zone : ReverseZones(settings.prefix)) {
    line("local=/", zone, "/");
  }
  for (const Ipv4 upstream : settings.upstream) {
    line("server=", upstream.str());
  }
  text += DhcpText(settings, paths);
  return files;
}

std::vector<DhcpLease> ParseLeases(std::string_view text) {
  std::vector<DhcpLease> leases;
  for (const absl::string_view row : absl::StrSplit(ToAbsl(text), '\n', absl::SkipEmpty())) {
    const std::vector<std::string> words = absl::StrSplit(row, ' ');
    DhcpLease lease;
    if (words.size() < 4 || leases.size() >= kMaxDhcpLeases ||
        !absl::SimpleAtoi(words[0], &lease.expires_s)) {
      continue;
    }
    const absl::StatusOr<std::string> mac = api::ParseMac(words[1]);
    const absl::StatusOr<Ipv4> address = Ipv4::Parse(words[2]);
    if (!mac.ok() || !address.ok()) {
      continue;
    }
    lease.mac = *mac;
    lease.address = *address;
    leases.push_back(std::move(lease));
  }
  return leases;
}

}  // namespace bramble::controller
