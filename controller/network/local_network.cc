// SPDX-License-Identifier: Apache-2.0
#include "controller/network/local_network.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <bit>
#include <fstream>

#include "base/file.h"
#include "base/status.h"
#include "controller/network/dhcp_probe.h"

#include "absl/strings/numbers.h"

namespace bramble::controller {
namespace {

constexpr std::chrono::seconds kCommandLimit{10};
constexpr size_t kMaxSmallFile = 64;

// The IPv4 addresses of an interface, as the kernel has them.
std::vector<Ipv4Interface> AddressesOf(const std::string& interface) {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) {
    return {};
  }
  std::vector<Ipv4Interface> addresses;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_netmask == nullptr ||
        one->ifa_addr->sa_family != AF_INET || interface != one->ifa_name) {
      continue;
    }
    const auto bits = [](const sockaddr* address) {
      return ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr);
    };
    addresses.push_back({Ipv4(bits(one->ifa_addr)), std::popcount(bits(one->ifa_netmask))});
  }
  ::freeifaddrs(all);
  return addresses;
}

bool SaysBusy(const std::string& text) {
  return text.find("in use") != std::string::npos;  // EADDRINUSE, as dnsmasq says it
}

}  // namespace

LocalNetwork::LocalNetwork(asio::io_context& loop, Options options, const Clock& clock,
                           Random& random, Logger log)
    : loop_(loop),
      options_(std::move(options)),
      clock_(clock),
      random_(random),
      log_(log),
      woken_(loop),
      dnsmasq_(loop, files_, options_.dnsmasq, log),
      scope_(loop, log) {
  state_.interface = options_.interface;
  state_.uplink = options_.uplink;
  dnsmasq_.OnState([this](const std::string& state) {
    state_.dns = state;
    state_.dhcp = state;
    state_.busy_ports.clear();
    if (SaysBusy(state)) {
      state_.busy_ports.push_back(state);
    }
  });
  Spawn(scope_, "network_address", KeepAddressAndTable());
  Spawn(scope_, "dhcp_probe", KeepProbing());
  Spawn(scope_, "dhcp_leases", KeepLeases());
}

LocalNetwork::~LocalNetwork() = default;

void LocalNetwork::Apply(NetworkOutputs outputs) {
  outputs.dnsmasq.interface = options_.interface;
  outputs.gateway.interface = options_.interface;
  outputs.gateway.uplink = options_.uplink;
  if (wanted_ == outputs) {
    return;
  }
  dnsmasq_.Apply(outputs.dnsmasq);
  wanted_ = std::move(outputs);
  woken_.Set();
}

asio::awaitable<absl::StatusOr<std::string>> LocalNetwork::Run(std::vector<std::string> argv,
                                                               std::string input) {
  Command command;
  command.argv = std::move(argv);
  command.input = std::move(input);
  command.deadline = kCommandLimit;
  const Command copy = command;
  BRAMBLE_CO_ASSIGN_OR_RETURN(const CommandResult result,
                              co_await RunCommandAsync(std::move(command)));
  BRAMBLE_CO_RETURN_IF_ERROR(CheckOk(copy, result));
  co_return result.out;
}

asio::awaitable<void> LocalNetwork::KeepAddressAndTable() {
  while (true) {
    woken_.Reset();
    if (wanted_.has_value()) {
      if (const absl::Status kept = co_await KeepAddress(); !kept.ok()) {
        state_.address_present = false;
        log_.Warn("network_address_failed", {{"error", kept}});
      }
      const absl::Status table = co_await KeepTable();
      state_.gateway = !table.ok()                 ? std::string(MessageOf(table))
                       : wanted_->gateway.Routes() ? "applied"
                                                   : "off";
    }
    const absl::StatusOr<std::string> mtu =
        ReadFile(StrCat(options_.sys_class_net, "/", options_.interface, "/mtu"), kMaxSmallFile);
    if (!mtu.ok() || !absl::SimpleAtoi(*mtu, &state_.mtu)) {
      state_.mtu = 0;
    }
    co_await woken_.WaitFor(kCheckEvery);
  }
}

asio::awaitable<absl::Status> LocalNetwork::KeepAddress() {
  const NetworkOutputs outputs = *wanted_;
  const std::vector<Ipv4Interface> present = AddressesOf(options_.interface);
  const auto has = [&present](const Ipv4Interface& address) {
    return std::find(present.begin(), present.end(), address) != present.end();
  };
  std::vector<Ipv4Interface> needed = {outputs.address};
  if (outputs.old_address.has_value()) {
    needed.push_back(*outputs.old_address);
    removed_ = outputs.old_address;
  } else if (removed_.has_value() && *removed_ != outputs.address && has(*removed_)) {
    std::vector<std::string> remove = {"ip",  "address",         "delete", removed_->str(),
                                       "dev", options_.interface};
    BRAMBLE_CO_RETURN_IF_ERROR((co_await Run(std::move(remove), "")).status());
    removed_.reset();
  }
  for (const Ipv4Interface& address : needed) {
    if (!has(address)) {
      std::vector<std::string> add = {"ip",        "address", "replace", address.str(),
                                      "broadcast", "+",       "dev",     options_.interface};
      BRAMBLE_CO_RETURN_IF_ERROR((co_await Run(std::move(add), "")).status());
      log_.Info("network_address_added",
                {{"address", address.str()}, {"interface", options_.interface}});
    }
  }
  state_.address_present = true;
  co_return absl::OkStatus();
}

// The switch of the whole machine; it is never turned off, since others may need it.
absl::Status LocalNetwork::KeepForwarding(bool routes) {
  if (!routes) {
    return absl::OkStatus();
  }
  const std::string path = StrCat(options_.proc_sys, "/net/ipv4/ip_forward");
  const absl::StatusOr<std::string> now = ReadFile(path, kMaxSmallFile);
  if (now.ok() && now->starts_with("1")) {
    return absl::OkStatus();
  }
  std::ofstream file(path);
  file << "1\n";
  file.close();
  return file.fail() ? absl::PermissionDeniedError(StrCat(path,
                                                          ": cannot be switched on; run `sysctl -w "
                                                          "net.ipv4.ip_forward=1`"))
                     : absl::OkStatus();
}

asio::awaitable<absl::Status> LocalNetwork::ApplyTable(std::string text) {
  std::vector<std::string> apply = {"nft", "-f", "-"};
  BRAMBLE_CO_RETURN_IF_ERROR((co_await Run(std::move(apply), text)).status());
  applied_text_ = text;
  listing_.clear();
  if (wanted_->gateway.Routes()) {
    std::vector<std::string> list = {"nft", "list", "table", "ip", kGatewayTable};
    BRAMBLE_CO_ASSIGN_OR_RETURN(listing_, co_await Run(std::move(list), ""));
  }
  co_return absl::OkStatus();
}

asio::awaitable<absl::Status> LocalNetwork::KeepTable() {
  const GatewaySettings settings = wanted_->gateway;
  if (!settings.Routes() && applied_text_.empty() && options_.uplink.empty()) {
    co_return absl::OkStatus();  // never had one
  }
  BRAMBLE_CO_RETURN_IF_ERROR(KeepForwarding(settings.Routes()));
  BRAMBLE_CO_ASSIGN_OR_RETURN(const std::string text, WriteGatewayTable(settings));
  if (text != applied_text_) {
    co_return co_await ApplyTable(text);
  }
  if (!settings.Routes()) {
    co_return absl::OkStatus();
  }
  std::vector<std::string> list = {"nft", "list", "table", "ip", kGatewayTable};
  const absl::StatusOr<std::string> now = co_await Run(std::move(list), "");
  if (now.ok() && *now == listing_) {
    co_return absl::OkStatus();
  }
  log_.Warn("gateway_table_lost", {{"table", kGatewayTable}, {"next", "it is applied again"}});
  co_return co_await ApplyTable(text);
}

asio::awaitable<void> LocalNetwork::KeepProbing() {
  while (true) {
    const auto transaction = static_cast<uint32_t>(random_.Below(uint64_t{1} << 32));
    absl::StatusOr<std::vector<api::RivalDhcp>> found =
        co_await ProbeForDhcp(options_.interface, transaction, clock_.Wall());
    if (found.ok()) {
      // Ours, heard back from a switch that mirrors.
      if (wanted_.has_value()) {
        std::erase_if(*found, [this](const api::RivalDhcp& rival) {
          return rival.address == wanted_->address.address;
        });
      }
      state_.rivals = *found;
      if (on_rivals_) {
        on_rivals_(state_.rivals);
      }
    } else {
      log_.Warn("dhcp_probe_failed", {{"error", found.status()}});
    }
    co_await SleepFor(kProbeEvery);
  }
}

asio::awaitable<void> LocalNetwork::KeepLeases() {
  while (true) {
    state_.leases = co_await dnsmasq_.Leases();
    co_await SleepFor(kLeasesEvery);
  }
}

}  // namespace bramble::controller
