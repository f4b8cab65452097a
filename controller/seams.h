// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the coordinator needs from outside, as interfaces: the connections to nodes, and who already
// uses an address.  All are called, and call back, on the loop.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "api/node_protocol.h"
#include "controller/model/records.h"
#include "controller/network/dnsmasq_config.h"
#include "controller/network/gateway_table.h"

namespace bramble::controller {

// One connection of a node; never reused, so that a late event of an old one is recognised.
using LinkId = uint64_t;

// The WebSockets on 8444.
class NodeLinks {
 public:
  virtual ~NodeLinks() = default;
  // Queues one text message.  A link that is gone or too slow is closed by the implementation,
  // which then reports OnNodeDisconnected; never from within this call.
  virtual void Send(LinkId link, SharedText message) = 0;
  // Ends the connection after what is queued was sent; reports no OnNodeDisconnected.
  virtual void Close(LinkId link, std::string reason) = 0;
};

// Asks the segment by ARP (RFC 5227) whether somebody uses an address.
class AddressProber {
 public:
  virtual ~AddressProber() = default;
  using Done = std::function<void(bool in_use)>;
  // Calls `done` within a second, on the loop, never from within this call.  An address that cannot
  // be probed (no interface on the prefix) counts as free.
  virtual void Probe(std::string address, Done done) = 0;
  // Calls `done` as above with the MAC address of each that answers: more than one is a conflict.
  using WhoDone = std::function<void(std::vector<std::string> macs)>;
  virtual void WhoHas(std::string address, WhoDone done) = 0;
};

// What the controller's machine does for the network: its address, DNS and DHCP, the gateway.
struct NetworkOutputs {
  Ipv4Interface address;                     // to have on the cluster's interface
  std::optional<Ipv4Interface> old_address;  // still to have: the prefix was changed lately
  DnsmasqSettings dnsmasq;
  GatewaySettings gateway;
  friend bool operator==(const NetworkOutputs&, const NetworkOutputs&) = default;
};
struct NetworkServiceState {
  std::string interface;  // empty: no network is served
  std::string uplink;
  std::string dns = "off";  // "running", "off", or why not
  std::string dhcp = "off";
  std::string gateway = "off";  // "applied", "off", or why not
  bool address_present = true;  // the gateway's address is on the interface
  int64_t mtu = 0;              // of the interface; 0: not known
  std::vector<std::string> missing_features;
  std::vector<std::string> busy_ports;  // "udp 67: dnsmasq cannot listen there"
  std::vector<api::RivalDhcp> rivals;
  std::vector<DhcpLease> leases;
};
class NetworkServices {
 public:
  virtual ~NetworkServices() = default;
  // Brings it about, and keeps it so until the next call.  Returns at once.
  virtual void Apply(NetworkOutputs outputs) = 0;
  virtual const NetworkServiceState& state() const = 0;
};

// Copies the writable layer of a stopped container from node to node.
struct LayerCopy {
  std::string move;  // names the try to both nodes: what was brought by it is not brought again
  ContainerId container;
  NodeId source;
  NodeId target;
};
struct LayerCopyEnd {
  // OK: the target has verified it and has it on its disk.  kResourceExhausted: no room there.
  absl::Status status;
  bool at_target = false;  // not OK: it was the target's end that failed
};
class LayerCopier {
 public:
  virtual ~LayerCopier() = default;
  // Never called from within Copy.
  using Done = std::function<void(LayerCopyEnd)>;
  virtual void Copy(LayerCopy copy, Done done) = 0;
  // Its `done` is not called any more.
  virtual void Cancel(const std::string& move) = 0;
  virtual int64_t BytesCopied(const std::string& move) const = 0;
};

// Makes what X.509 needs.  Implemented by controller/auth over the cluster's CA.
class CertificateIssuer {
 public:
  virtual ~CertificateIssuer() = default;
  struct Issued {
    std::string certificate_pem;
    std::string key_sha256;  // hex, of the SPKI in the request
  };
  // The SPKI of a certificate signing request whose own signature is right.
  virtual absl::StatusOr<std::string> KeyOf(const std::string& csr_pem) = 0;  // SHA-256, hex
  virtual absl::StatusOr<Issued> IssueNode(const std::string& csr_pem, const ClusterId& cluster,
                                           const NodeId& node) = 0;
  virtual std::string CaPem() const = 0;
  // SHA-256 of the SPKI of the key that the listener on 8444 proves, 32 raw bytes: for join tokens.
  virtual std::string ServerKeySha256() const = 0;
};

}  // namespace bramble::controller
