// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/async_subprocess.h"
#include "base/clock.h"
#include "base/random.h"
#include "controller/network/dnsmasq_server.h"
#include "controller/seams.h"

namespace bramble::controller {

// The controller's machine as the cluster's gateway, DNS and DHCP server: its address on the
// cluster's interface, dnsmasq, the nftables table, and a look for other DHCP servers.  Uses the
// programs ip, nft and dnsmasq; needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_NET_BIND_SERVICE.
// Loop only.
class LocalNetwork : public NetworkServices {
 public:
  // What somebody takes away (the address, the table) is back after this at the latest.
  static constexpr std::chrono::seconds kCheckEvery{2};
  static constexpr std::chrono::seconds kProbeEvery{60};
  static constexpr std::chrono::seconds kLeasesEvery{5};

  struct Options {
    std::string interface;  // of the cluster
    std::string uplink;     // empty: none
    DnsmasqServer::Options dnsmasq;
    std::string proc_sys = "/proc/sys";
    std::string sys_class_net = "/sys/class/net";
  };
  using OnRivals = std::function<void(const std::vector<api::RivalDhcp>&)>;

  LocalNetwork(asio::io_context& loop, Options options, const Clock& clock, Random& random,
               Logger log);
  ~LocalNetwork() override;

  void Apply(NetworkOutputs outputs) override;
  const NetworkServiceState& state() const override { return state_; }
  pid_t ServerPid() const { return dnsmasq_.pid(); }  // of dnsmasq; 0: none runs
  // Called after every probe.
  void SetOnRivals(OnRivals hook) { on_rivals_ = std::move(hook); }

 private:
  asio::awaitable<void> KeepAddressAndTable();
  asio::awaitable<absl::Status> KeepAddress();
  asio::awaitable<absl::Status> KeepTable();
  asio::awaitable<absl::Status> ApplyTable(std::string text);
  absl::Status KeepForwarding(bool routes);
  asio::awaitable<void> KeepProbing();
  asio::awaitable<void> KeepLeases();
  asio::awaitable<absl::StatusOr<std::string>> Run(std::vector<std::string> argv,
                                                   std::string input);

  asio::io_context& loop_;
  const Options options_;
  const Clock& clock_;
  Random& random_;
  const Logger log_;
  Lane files_{"network-files"};
  std::optional<NetworkOutputs> wanted_;
  std::string applied_text_;              // of the table, as it was given to nft
  std::string listing_;                   // of the table, as nft showed it then
  std::optional<Ipv4Interface> removed_;  // the old address that was taken away
  NetworkServiceState state_;
  OnRivals on_rivals_;
  Event woken_;
  DnsmasqServer dnsmasq_;
  Scope scope_;
};

}  // namespace bramble::controller
