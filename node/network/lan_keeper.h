// SPDX-License-Identifier: Apache-2.0
#pragma once

// Keeps this node on the LAN: its port in the bridge or, where the port takes no foreign MACs,
// routed beside it; and its own address.
//
// The address is, in this order, what node.toml says; what the controller said (the journal knows
// it); one of the prefix that the port has anyway; one of the node range that the node chooses by
// itself (address_claim.h).  Loop only.

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/node_protocol.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/timer.h"
#include "node/network/address_claim.h"
#include "node/network/arp_channel.h"
#include "node/network/link_watch.h"
#include "node/network/network_setup.h"

namespace bramble::node {

enum class LanMode { kAuto, kBridged, kRouted };
inline constexpr std::string_view kLanModeNames[] = {"auto", "bridged", "routed"};

class LanKeeper {
 public:
  using OpenArp = std::function<absl::StatusOr<std::unique_ptr<ArpChannel>>(
      const std::string& interface, PacketArpChannel::Hear hear)>;
  struct Parts {
    asio::io_context& loop;
    const Clock& clock;
    NetworkSetup& setup;
    OpenArp open_arp;  // none: nothing is asked by ARP, and addresses are taken as given
    Logger log;
  };
  struct Options {
    std::string bridge = "br0";
    std::string port;  // empty: none
    LanMode mode = LanMode::kAuto;
    std::optional<Ipv4Interface> address;  // of node.toml
    Ipv4 gateway;
    std::optional<Ipv4Interface> confirmed;  // by the controller, as the journal has it
    Ipv4Prefix prefix;                       // the cluster's
    std::string serial;                      // of the board
    bool was_routed = false;                 // found out at an earlier start
    std::chrono::milliseconds retry{10'000};
    std::chrono::milliseconds old_address_kept{1000 * api::kOldAddressKeptSeconds};
    std::chrono::milliseconds uplink_check{
        30'000};  // until it is known whether it takes foreign MACs
  };

  LanKeeper(Parts parts, Options options);
  LanKeeper(const LanKeeper&) = delete;
  LanKeeper& operator=(const LanKeeper&) = delete;
  ~LanKeeper();

  // Sets up what is known now, and looks after it from then on.  Returns when the bridge is there;
  // an address that has to be asked for follows.
  asio::awaitable<void> Start();

  // The controller's word.
  void SetConfirmed(Ipv4Interface address, Ipv4Prefix prefix);
  // Whom to ask whether the uplink takes foreign MACs.
  void SetController(Ipv4 address);
  // Of this node's containers; counts where it is routed.
  void SetContainers(std::vector<Ipv4> addresses);
  void OnLink(const LinkChange& change);

  // Tells the LAN that a container has `address`.
  void Announce(MacAddress mac, Ipv4 address);

  // What holds now.
  std::optional<Ipv4Interface> address() const { return address_; }
  bool routed() const { return routed_; }
  const absl::Status& status() const { return status_; }
  void FillReport(api::NetworkReport& report) const;
  std::vector<api::Condition> conditions() const;

  // Called when address(), routed() or the report may have changed; for frames of others; when the
  // link came back.
  std::function<void()> on_change;
  std::function<void(const ArpFrame&)> on_arp;
  std::function<void()> on_link_up;
  // Called once it is known that the uplink takes no foreign MACs, to be remembered.
  std::function<void()> on_routed;

 private:
  struct Old {
    Ipv4Interface address;
    BootTime until;
  };
  BridgeSetting Setting() const;
  const std::string& Device() const { return routed_ ? options_.port : options_.bridge; }
  asio::awaitable<absl::Status> Apply();
  asio::awaitable<void> KeepApplied();
  asio::awaitable<void> KeepAddress();
  asio::awaitable<void> FindOutMode();
  asio::awaitable<std::optional<bool>> TakesForeignMacs();
  // Whom to ask: the controller and the gateways.
  std::vector<Ipv4> MacTargets() const;
  void StandInForTheLan();
  void OpenChannel();
  void StartClaim(std::optional<Ipv4> preferred, bool firm, bool held);
  void AfterClaim();
  void TakeAddress(std::optional<Ipv4Interface> address);
  int Length() const;
  void Changed();

  const Parts parts_;
  const Logger log_;
  Options options_;
  bool started_ = false;
  bool applying_ = false;
  bool routed_ = false;
  bool mode_known_ = false;
  std::optional<Ipv4Interface> address_;
  bool self_chosen_ = false;
  bool link_up_ = true;
  Ipv4 controller_;
  std::vector<Ipv4> containers_;
  std::set<Ipv4> heard_;  // stations of the LAN, until the mode is known
  std::vector<Old> old_;
  std::vector<Ipv4Interface> dropped_;
  NetworkFacts facts_;
  std::unique_ptr<ArpChannel> channel_;
  std::optional<AddressClaim> claim_;
  absl::Status status_;
  Event dirty_;
  Event claim_due_;
  Scope scope_;
};

}  // namespace bramble::node
