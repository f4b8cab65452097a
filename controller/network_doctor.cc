// SPDX-License-Identifier: Apache-2.0
// What is wrong with the network, each with its cause and a one-line fix.
#include <algorithm>
#include <map>

#include "base/status.h"
#include "controller/network_services.h"
#include "controller/network_view.h"

namespace bramble::controller {
namespace {

using FindingList = std::vector<api::NetworkFinding>;

constexpr int64_t kEthernetMtu = 1500;

void CheckServices(const NetworkServiceState& services, const AddressPlan& plan,
                   FindingList& findings) {
  for (const api::RivalDhcp& rival : services.rivals) {
    findings.push_back(
        {"rival-dhcp", "warning", rival.address.str(),
         StrCat("another DHCP server (", rival.mac,
                ") answers on the cluster's segment; machines "
                "may get its addresses and gateway"),
         "if it is your home router, keep `guests` off (`bramble network change --guests off`); "
         "otherwise unplug it"});
  }
  if (!services.address_present) {
    findings.push_back(
        {"gateway-address", "critical", plan.gateway(),
         StrCat("the controller's address is not on interface ", services.interface),
         StrCat("ip address add ", plan.WithLength(plan.gateway()), " dev ", services.interface)});
  }
  const std::pair<std::string_view, const std::string*> states[] = {
      {"dns", &services.dns}, {"dhcp", &services.dhcp}, {"gateway", &services.gateway}};
  for (const auto& [name, state] : states) {
    if (*state != "running" && *state != "off" && *state != "applied") {
      findings.push_back({std::string(name), "critical", services.interface, *state,
                          "journalctl -u bramble-controller shows why; `apt install dnsmasq-base "
                          "nftables` if a program is missing"});
    }
  }
  for (const std::string& port : services.busy_ports) {
    findings.push_back({"port-blocked", "critical", services.interface, port,
                        "stop the other server there: `ss -lnup` shows which it is"});
  }
  for (const std::string& feature : services.missing_features) {
    findings.push_back({"kernel-feature", "critical", "controller",
                        StrCat("the kernel of the controller lacks ", feature),
                        StrCat("modprobe ", feature, "; or boot Debian's kernel")});
  }
}

void CheckReport(const std::string& node, const api::NetworkReport& report, const AddressPlan& plan,
                 const std::string& expected, FindingList& findings) {
  for (const api::AddressConflict& conflict : report.conflicts) {
    findings.push_back(
        {"duplicate-address", "critical", conflict.address.str(),
         StrCat("another machine (", conflict.mac, ") uses it; seen by node \"", node, "\""),
         StrCat("find ", conflict.mac,
                " and give it another address, or run "
                "`bramble address reserve` for it")});
  }
  if (!report.link_up) {
    findings.push_back({"link", "critical", node, StrCat("the link of ", report.uplink, " is down"),
                        "check the cable and the switch's port"});
  }
  if (!report.address.address.empty() && !plan.prefix().Contains(report.address.address)) {
    findings.push_back(
        {"address", "warning", node,
         StrCat("uses ", report.address.str(), ", outside of ", plan.prefix().str()),
         "wait a minute after a change of the prefix; otherwise restart bramble-node"});
  } else if (!report.address.address.empty() && report.address.address.str() != expected) {
    findings.push_back({"address", "warning", node,
                        StrCat("uses ", report.address.address.str(), " instead of ", expected),
                        "restart bramble-node on it"});
  }
  const Ipv4 gateway = report.default_gateway;
  if (!gateway.empty() && plan.prefix().Contains(gateway) && gateway.str() != plan.gateway()) {
    findings.push_back({"wrong-gateway", "warning", node,
                        StrCat("its way to the Internet is ", gateway.str(),
                               ", an address of the "
                               "cluster's prefix that is not the controller's ",
                               plan.gateway()),
                        StrCat("switch off the DHCP server that says so, or `ip route replace "
                               "default via ",
                               plan.gateway(), "` on the node")});
  }
  for (const std::string& feature : report.missing_features) {
    findings.push_back({"kernel-feature", "critical", node, StrCat("its kernel lacks ", feature),
                        StrCat("modprobe ", feature, " on the node, or use a Bramble card image")});
  }
  for (const std::string& error : report.errors) {
    findings.push_back({"node-network", "critical", node, error,
                        StrCat("`bramble node logs ", node, "` shows more")});
  }
}

}  // namespace

std::vector<api::NetworkFinding> LedgerNetwork::Diagnose() const {
  FindingList findings;
  const State& state = parts_.ledger.state();
  const AddressPlan& plan = parts_.fleet.plan();
  if (parts_.services != nullptr) {
    CheckServices(parts_.services->state(), plan, findings);
  }
  for (const auto& [address, macs] : conflicts_) {
    std::string all;
    for (const std::string& mac : macs) {
      all = StrCat(all, all.empty() ? "" : " and ", mac);
    }
    findings.push_back({"duplicate-address", "critical", address,
                        StrCat("two machines answer for it: ", all, "; it belongs to ",
                               HolderText(state, address)),
                        "give the other machine an address of its own; a copied card: `bramble "
                        "node reset`"});
  }
  std::map<int64_t, std::vector<std::string>> by_mtu;
  if (parts_.services != nullptr && parts_.services->state().mtu != 0) {
    by_mtu[parts_.services->state().mtu].push_back("controller");
  }
  for (const auto& [id, entry] : state.nodes().entries()) {
    const api::NetworkReport* report = parts_.sessions.NetworkOf(entry.record.api.id);
    if (report == nullptr) {
      continue;
    }
    const std::string& name = entry.record.api.name.str();
    CheckReport(name, *report, plan, entry.record.api.address, findings);
    if (report->mtu != 0) {
      by_mtu[report->mtu].push_back(name);
    }
  }
  if (by_mtu.size() > 1) {
    for (const auto& [mtu, who] : by_mtu) {
      if (mtu != kEthernetMtu) {
        findings.push_back(
            {"mtu", "warning", who.front(),
             StrCat("its MTU is ", mtu, " while others have ",
                    by_mtu.begin()->first == mtu ? by_mtu.rbegin()->first : by_mtu.begin()->first,
                    ": large packets are lost"),
             "ip link set mtu 1500 on every machine of the segment"});
      }
    }
  }
  const auto weight = [](const api::NetworkFinding& finding) {
    return finding.severity == "critical" ? 0 : finding.severity == "warning" ? 1 : 2;
  };
  std::stable_sort(findings.begin(), findings.end(),
                   [&](const auto& a, const auto& b) { return weight(a) < weight(b); });
  return findings;
}

}  // namespace bramble::controller
