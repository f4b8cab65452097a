// SPDX-License-Identifier: Apache-2.0
#pragma once

// The cluster network: one prefix, shared out by use.  docs/architecture.md has the default plan.

#include "api/json_fields.h"
#include "base/ip.h"

namespace bramble::api {

// What a part of the prefix is for.  Persisted by name.
enum class AddressUse { kGateway, kServers, kNodes, kContainers, kGuests, kFloating };
inline constexpr std::string_view kAddressUseNames[] = {"gateway",    "servers", "nodes",
                                                        "containers", "guests",  "floating"};

// Stable codes of problems that a client may act on (api/problem.h).
inline constexpr char kCodeAddressInUse[] = "address_in_use";
inline constexpr char kCodeAddressOutside[] = "address_outside_prefix";
inline constexpr char kCodeAddressUnusable[] = "address_not_usable";  // network, broadcast, gateway
inline constexpr char kCodeRangesOverlap[] = "ranges_overlap";
inline constexpr char kCodePrefixTooSmall[] = "prefix_too_small";
inline constexpr char kCodePoolExhausted[] = "address_pool_exhausted";
inline constexpr char kCodeFloatingAttached[] = "floating_ip_attached";
inline constexpr char kCodeHolderSilent[] = "holder_silent";
inline constexpr char kCodePortInUse[] = "port_in_use";
inline constexpr char kCodeGroupInUse[] = "security_group_in_use";
inline constexpr char kCodeTooManyRules[] = "too_many_rules";

// Both ends belong to it.
struct IpRange {
  Ipv4 first;
  Ipv4 last;

  bool Contains(Ipv4 address) const { return first <= address && address <= last; }
  bool Overlaps(const IpRange& other) const { return first <= other.last && other.first <= last; }
  friend bool operator==(const IpRange&, const IpRange&) = default;
};
std::string ToString(const IpRange& range);  // "172.16.0.11-172.16.0.63"
// "172.16.0.11-172.16.0.63" or one address.  kInvalidArgument also when it runs backwards.
absl::StatusOr<IpRange> ParseIpRange(std::string_view text);

// By AddressUse's name; all but the gateway.  On the wire {"nodes": "172.16.0.11-172.16.0.63", …}.
using IpRanges = std::map<std::string, IpRange>;
json::object ToJson(const IpRanges& ranges);
IpRanges RangesField(JsonObjectReader& reader, std::string_view key, UnknownKeys unknown);

inline constexpr size_t kMaxUpstreamDns = 8;

// What a person sets: the body of PATCH /v1/network and of POST /v1/network/plan, where absent
// means unchanged.  A range that is not named follows the prefix by the formula.
struct NetworkPatch {
  std::optional<Ipv4Prefix> prefix;
  IpRanges ranges;
  bool default_ranges = false;  // forget the ranges that were set
  std::optional<bool> guests;
  std::optional<bool> masquerade;
  std::optional<std::vector<Ipv4>> upstream_dns;
};
absl::StatusOr<NetworkPatch> NetworkPatchFromJson(const json::value& value,
                                                  std::string path = "network",
                                                  UnknownKeys unknown = UnknownKeys::kRefuse);
json::object ToJson(const NetworkPatch& patch);

// A DHCP server that is not ours, heard on the cluster's segment.
struct RivalDhcp {
  Ipv4 address;
  std::string mac;
  WallTime seen_at{};
  friend bool operator==(const RivalDhcp&, const RivalDhcp&) = default;
};

// Something wrong, with its one-line remedy.  `check` names the test: "rival-dhcp".
struct NetworkFinding {
  std::string check;
  std::string severity;  // "info", "warning" or "critical"
  std::string object;    // what it is about: an address, a node
  std::string cause;
  std::string fix;
  friend bool operator==(const NetworkFinding&, const NetworkFinding&) = default;
};
json::object ToJson(const NetworkFinding& finding);
absl::StatusOr<NetworkFinding> NetworkFindingFromJson(const json::value& value, std::string path);

struct RangeUse {
  int64_t size = 0;
  int64_t used = 0;
  friend bool operator==(const RangeUse&, const RangeUse&) = default;
};

// GET /v1/network.
struct Network {
  uint64_t generation = 1;
  Ipv4Prefix prefix;
  Ipv4 gateway;  // the controller's address: DNS, DHCP, NTP
  std::string domain = "bramble.internal";
  IpRanges ranges;
  bool guests = false;      // DHCP answers whoever asks, from the guests' range
  bool masquerade = false;  // the cluster reaches the uplink's networks behind the controller
  std::vector<Ipv4> upstream_dns;  // other names are asked for there; empty: refused

  // What is so, as seen by the controller.
  std::string interface;  // of the cluster; empty: it serves no network
  std::string uplink;     // empty: none
  std::string dns_state;  // "running", "off", or why it does not run
  std::string dhcp_state;
  std::string gateway_state;  // of the nftables table
  std::map<std::string, RangeUse> use;
  std::vector<RivalDhcp> rivals;
};
json::object ToJson(const Network& network);
absl::StatusOr<Network> NetworkFromJson(const json::value& value, std::string path = "network");

// What a change would do: POST /v1/network/plan.
struct NetworkMove {
  std::string kind;  // "controller", "node", "container", "floating-ip", "reservation"
  std::string id;
  std::string name;
  Ipv4 from;
  Ipv4 to;
  friend bool operator==(const NetworkMove&, const NetworkMove&) = default;
};
struct NetworkPlan {
  Ipv4Prefix prefix;
  IpRanges ranges;
  std::vector<NetworkMove> moves;
  std::vector<std::string> refusals;  // why it cannot be done; empty: it can
};
json::object ToJson(const NetworkPlan& plan);
absl::StatusOr<NetworkPlan> NetworkPlanFromJson(const json::value& value,
                                                std::string path = "plan");

}  // namespace bramble::api
