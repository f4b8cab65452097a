// SPDX-License-Identifier: Apache-2.0
#include "controller/network_view.h"

#include <algorithm>

#include "base/status.h"

namespace bramble::controller {
namespace {

constexpr size_t kHoldersShown = 5;

std::vector<Ipv4> FloatingOf(const ContainerRecord& record) {
  std::vector<Ipv4> addresses;
  for (const std::string& text : record.api.status.floating_ips) {
    addresses.push_back(AddressOf(text));
  }
  return addresses;
}

void AddDhcpHosts(const State& state, std::vector<DhcpHost>& hosts) {
  for (const auto& [id, entry] : state.nodes().entries()) {
    const api::Node& node = entry.record.api;
    const Ipv4 address = AddressOf(node.address);
    if (!address.empty() && node.state != api::NodeState::kPending) {
      DhcpHost host{.serial = node.inventory.serial, .address = address, .name = node.name.str()};
      for (const std::string& mac : node.inventory.macs) {
        if (const absl::StatusOr<std::string> parsed = api::ParseMac(mac); parsed.ok()) {
          host.macs.push_back(*parsed);
        }
      }
      hosts.push_back(std::move(host));
    }
  }
  for (const auto& [name, entry] : state.reservations().entries()) {
    const api::Reservation& reservation = entry.record.api;
    if (reservation.mac.empty() && reservation.serial.empty()) {
      continue;
    }
    DhcpHost host{.serial = reservation.serial, .address = reservation.address, .name = name};
    if (!reservation.mac.empty()) {
      host.macs.push_back(reservation.mac);
    }
    // A reservation for a card or board goes before what its node has now.
    std::erase_if(hosts, [&](const DhcpHost& other) {
      const bool same_serial = !host.serial.empty() && other.serial == host.serial;
      const bool same_card = std::any_of(host.macs.begin(), host.macs.end(), [&](const auto& mac) {
        return std::find(other.macs.begin(), other.macs.end(), mac) != other.macs.end();
      });
      return same_serial || same_card;
    });
    hosts.push_back(std::move(host));
  }
}

// What may stand in dnsmasq's files; a board may call itself anything.
bool PlainSerial(const std::string& serial) {
  return serial.size() <= 64 && std::all_of(serial.begin(), serial.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.';
         });
}

}  // namespace

Ipv4 AddressOf(std::string_view text) { return Ipv4::Parse(text).value_or(Ipv4()); }

FilteredContainer FilteredOf(const ContainerRecord& record) {
  return {.project = record.api.project.str(),
          .groups = record.api.spec.groups,
          .address = AddressOf(record.api.status.address),
          .floating = FloatingOf(record)};
}

std::vector<api::SecurityRule> PortsOf(const State& state, const ContainerRecord& record) {
  const ImageRecord* image = state.FindImage(record.api.project.str(), record.api.spec.image);
  if (image == nullptr) {
    return {};
  }
  const auto label = image->api.labels.find(api::kPortsLabel);
  return label == image->api.labels.end()
             ? std::vector<api::SecurityRule>{}
             : api::ParsePortsLabel(label->second).value_or(std::vector<api::SecurityRule>{});
}

std::vector<AddressHolder> AddressHolders(const State& state) {
  std::vector<AddressHolder> holders;
  const auto add = [&holders](std::string kind, std::string id, std::string name, Ipv4 address,
                              api::AddressUse use) {
    if (!address.empty()) {
      holders.push_back({std::move(kind), std::move(id), std::move(name), address, use});
    }
  };
  for (const auto& [id, entry] : state.nodes().entries()) {
    add("node", id, entry.record.api.name.str(), AddressOf(entry.record.api.address),
        api::AddressUse::kNodes);
  }
  for (const auto& [id, entry] : state.containers().entries()) {
    add("container", id, entry.record.api.name.str(), AddressOf(entry.record.api.status.address),
        api::AddressUse::kContainers);
  }
  for (const auto& [id, entry] : state.floating_ips().entries()) {
    add("floating-ip", id, StrCat(id, " of ", entry.record.api.container.str()),
        entry.record.api.address, api::AddressUse::kFloating);
  }
  for (const auto& [name, entry] : state.reservations().entries()) {
    // One for a container or node that has taken it moves with that.
    if (state.AddressOwner(entry.record.api.address.str()) == name) {
      add("reservation", name, name, entry.record.api.address, entry.record.api.use);
    }
  }
  return holders;
}

ZoneInput ZoneInputOf(const State& state, const AddressPlan& plan) {
  ZoneInput input{.controller = AddressOf(plan.gateway())};
  for (const auto& [id, entry] : state.nodes().entries()) {
    if (entry.record.api.state != api::NodeState::kPending) {
      input.nodes.push_back({entry.record.api.name.str(), AddressOf(entry.record.api.address)});
    }
  }
  for (const auto& [id, entry] : state.containers().entries()) {
    const api::Container& container = entry.record.api;
    const auto service = container.spec.labels.find(kServiceLabel);
    input.containers.push_back(
        {.name = container.name.str(),
         .project = container.project.str(),
         .address = AddressOf(container.status.address),
         .floating = FloatingOf(entry.record),
         .service = service == container.spec.labels.end() ? "" : service->second});
  }
  for (const auto& [name, entry] : state.reservations().entries()) {
    input.reservations.push_back({name, entry.record.api.address});
  }
  return input;
}

std::string HolderText(const State& state, const std::string& address) {
  const std::string owner = state.AddressOwner(address);
  if (owner.empty()) {
    return "";
  }
  if (const ContainerRecord* container = state.containers().Find(owner)) {
    return StrCat("container \"", container->api.name.str(), "\"");
  }
  if (const NodeRecord* node = state.nodes().Find(owner)) {
    return StrCat("node \"", node->api.name.str(), "\"");
  }
  return StrCat("the reservation \"", owner, "\"");
}

std::string HoldersText(const State& state, AddressRange range) {
  std::string text;
  size_t shown = 0;
  size_t more = 0;
  for (uint32_t i = 0; i < range.size(); ++i) {
    const std::string address = AddressText(range.first + i);
    const std::string holder = HolderText(state, address);
    if (holder.empty()) {
      continue;
    }
    if (shown == kHoldersShown) {
      ++more;
      continue;
    }
    text = StrCat(text, shown++ == 0 ? "" : ", ", address, " by ", holder);
  }
  return more == 0 ? text : StrCat(text, " and ", more, " more (`bramble address list`)");
}

std::optional<Ipv4> FreeAddress(const State& state, AddressRange range) {
  for (uint32_t i = 0; i < range.size(); ++i) {
    if (state.AddressOwner(AddressText(range.first + i)).empty()) {
      return Ipv4(range.first + i);
    }
  }
  return std::nullopt;
}

NetworkOutputs OutputsOf(const State& state, const AddressPlan& plan, WallTime now) {
  const NetworkSettings& settings = state.cluster().network;
  const Ipv4 gateway = AddressOf(plan.gateway());
  NetworkOutputs outputs{.address = {gateway, plan.length()}};
  const bool keeps_old =
      std::chrono::milliseconds(settings.old_prefix_until_ms) > now.time_since_epoch();
  if (const absl::StatusOr<AddressPlan> old = AddressPlan::Make(settings.old_prefix);
      keeps_old && old.ok()) {
    outputs.old_address = Ipv4Interface{AddressOf(old->gateway()), old->length()};
  }
  outputs.dnsmasq = {.prefix = plan.prefix(),
                     .gateway = gateway,
                     .node_range = plan.nodes(),
                     .guest_range = plan.guests(),
                     .guests = settings.guests,
                     .router = settings.masquerade,
                     .upstream = settings.upstream_dns,
                     .names = BuildZone(ZoneInputOf(state, plan))};
  AddDhcpHosts(state, outputs.dnsmasq.hosts);
  for (DhcpHost& host : outputs.dnsmasq.hosts) {
    host.serial = PlainSerial(host.serial) ? host.serial : "";
  }
  outputs.gateway = {.prefix = plan.prefix(), .masquerade = settings.masquerade};
  for (const auto& [key, entry] : state.port_forwards().entries()) {
    const api::PortForward& forward = entry.record.api;
    const ContainerRecord* container =
        state.FindContainer(forward.project.str(), forward.container);
    if (container != nullptr && !container->api.status.address.empty()) {
      outputs.gateway.forwards.push_back({.protocol = forward.protocol,
                                          .port = forward.port,
                                          .address = AddressOf(container->api.status.address),
                                          .to_port = forward.container_port});
    }
  }
  return outputs;
}

}  // namespace bramble::controller
