// SPDX-License-Identifier: Apache-2.0
// Single addresses: who has which, and reservations.
#include <algorithm>
#include <map>

#include "api/problem.h"
#include "base/status.h"
#include "controller/network_services.h"
#include "controller/network_view.h"

namespace bramble::controller {
namespace {

std::string FieldOf(const api::Address& address, std::string_view key) {
  if (key == "address") return address.address.str();
  if (key == "use") {
    return std::string(api::kAddressUseNames[static_cast<size_t>(address.use)]);
  }
  if (key == "state") {
    return std::string(api::kAddressStateNames[static_cast<size_t>(address.state)]);
  }
  return key == "kind" ? address.owner.kind : address.owner.name;
}

std::string OrderOf(Ipv4 address) {
  const std::string bits = StrCat(address.bits());
  return StrCat(std::string(10 - bits.size(), '0'), bits);
}

std::string Joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) {
    all = StrCat(all, all.empty() ? "" : ", ", text);
  }
  return all;
}

}  // namespace

std::vector<api::Address> LedgerNetwork::AllAddresses() const {
  const State& state = parts_.ledger.state();
  const AddressPlan& plan = parts_.fleet.plan();
  std::map<Ipv4, api::Address> all;
  const auto add = [&](Ipv4 at, api::AddressState how,
                       api::ObjectReference owner) -> api::Address& {
    api::Address& address = all[at];
    address.address = at;
    address.use = plan.UseOf(at.bits()).value_or(api::AddressUse::kServers);
    address.state = how;
    address.owner = std::move(owner);
    return address;
  };
  for (const uint32_t foreign : parts_.fleet.ForeignAddresses()) {
    add(Ipv4(foreign), api::AddressState::kForeign, {}).note =
        "a machine that is not the cluster's uses it";
  }
  for (const auto& [name, entry] : state.reservations().entries()) {
    api::Address& address =
        add(entry.record.api.address, api::AddressState::kReserved, ReferenceTo(entry.record));
    address.mac = entry.record.api.mac;
    address.note = entry.record.api.note;
  }
  if (parts_.services != nullptr) {
    for (const DhcpLease& lease : parts_.services->state().leases) {
      if (plan.prefix().Contains(lease.address) &&
          state.AddressOwner(lease.address.str()).empty()) {
        add(lease.address, api::AddressState::kLeased, {}).mac = lease.mac;
      }
    }
  }
  add(AddressOf(plan.gateway()), api::AddressState::kAssigned,
      {"controller", "", "controller", ""});
  for (const auto& [id, entry] : state.nodes().entries()) {
    if (const Ipv4 at = AddressOf(entry.record.api.address); !at.empty()) {
      const std::vector<std::string>& macs = entry.record.api.inventory.macs;
      add(at, api::AddressState::kAssigned, ReferenceTo(entry.record)).mac =
          macs.empty() ? "" : macs.front();
    }
  }
  for (const auto& [id, entry] : state.containers().entries()) {
    if (const Ipv4 at = AddressOf(entry.record.api.status.address); !at.empty()) {
      add(at, api::AddressState::kAssigned, ReferenceTo(entry.record)).mac =
          entry.record.api.status.mac;
    }
  }
  for (const auto& [id, entry] : state.floating_ips().entries()) {
    const api::FloatingIp& ip = entry.record.api;
    add(ip.address, api::AddressState::kAssigned,
        {"container", ip.container_id.str(), ip.container.str(), ip.project.str()})
        .note = "floating";
  }
  for (const auto& [text, macs] : conflicts_) {
    if (const auto found = all.find(AddressOf(text)); found != all.end()) {
      found->second.state = api::AddressState::kConflict;
      found->second.note = StrCat("answered by ", Joined(macs));
    }
  }
  std::vector<api::Address> addresses;
  for (auto& [at, address] : all) {
    addresses.push_back(std::move(address));
  }
  return addresses;
}

absl::StatusOr<Rendered> LedgerNetwork::Addresses(const Principal& who, const ListQuery& query) {
  if (!May(who, Access::kRead, "")) {
    return NotFound("network", "network");
  }
  BRAMBLE_ASSIGN_OR_RETURN(
      const std::vector<FilterTerm> terms,
      ParseFilter(query.filter, {"address", "use", "state", "name", "kind"}, /*labels=*/false));
  if (query.limit > kMaxPage) {
    return absl::InvalidArgumentError(StrCat("limit: at most ", kMaxPage));
  }
  const size_t limit = query.limit == 0 ? kMaxPage : query.limit;
  json::array items;
  std::string last;
  json::object page;
  for (const api::Address& address : AllAddresses()) {
    const std::string order = OrderOf(address.address);
    const bool matches = std::all_of(terms.begin(), terms.end(), [&](const FilterTerm& term) {
      return (FieldOf(address, term.key) == term.value) != term.negated;
    });
    if (order <= query.cursor || !matches) {
      continue;
    }
    if (items.size() == limit) {
      page["next_cursor"] = last;
      break;
    }
    items.push_back(api::ToJson(address));
    last = order;
  }
  page["items"] = std::move(items);
  return Rendered{std::make_shared<const std::string>(json::serialize(page))};
}

void LedgerNetwork::Reserve(const Principal& who, api::Reservation reservation,
                            WriteOptions options, WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    if (!May(who, Access::kWrite, "")) {
      return absl::PermissionDeniedError("only an administrator may reserve addresses");
    }
    const State& state = parts_.ledger.state();
    const AddressPlan& plan = parts_.fleet.plan();
    ReservationRecord record{reservation};
    api::Reservation& wanted = record.api;
    if (state.reservations().Find(wanted.name) != nullptr) {
      return absl::AlreadyExistsError(
          StrCat("the name \"", wanted.name, "\" has a reservation already; release it first"));
    }
    if (state.reservations().size() >= api::kMaxReservations) {
      return absl::ResourceExhaustedError(
          StrCat("there are ", api::kMaxReservations, " reservations already"));
    }
    for (const auto& [name, entry] : state.reservations().entries()) {
      const bool same_mac = !wanted.mac.empty() && entry.record.api.mac == wanted.mac;
      const bool same_serial = !wanted.serial.empty() && entry.record.api.serial == wanted.serial;
      if (same_mac || same_serial) {
        return absl::AlreadyExistsError(StrCat(same_mac ? wanted.mac : wanted.serial,
                                               ": is reserved for already, as \"", name, "\""));
      }
    }
    if (wanted.address.empty()) {
      const AddressRange range = plan.Range(wanted.use);
      const std::optional<Ipv4> free = FreeAddress(state, range);
      if (!free.has_value()) {
        const std::string use(api::kAddressUseNames[static_cast<size_t>(wanted.use)]);
        return api::WithCode(absl::ResourceExhaustedError(StrCat("no address is free for ", use,
                                                                 ": ", HoldersText(state, range))),
                             api::kCodePoolExhausted);
      }
      wanted.address = *free;
    }
    BRAMBLE_RETURN_IF_ERROR(plan.CheckUsable(wanted.address));
    const std::string address = wanted.address.str();
    if (const std::string holder = HolderText(state, address); !holder.empty()) {
      return api::WithCode(
          absl::AlreadyExistsError(StrCat("address ", address, ": is used by ", holder)),
          api::kCodeAddressInUse);
    }
    wanted.use = plan.UseOf(wanted.address.bits()).value_or(api::AddressUse::kServers);
    wanted.generation = 1;
    wanted.created_at = change.now();
    const std::string name = wanted.name;
    parts_.fleet.ClaimAddress(wanted.address.bits());
    change.AddEvent("address.reserved", ReferenceTo(record), address);
    change.Put(std::move(record));
    return Written{.object = parts_.ledger.Body(state.reservations(), name), .generation = 1};
  };
  parts_.ledger.Write(who, "address.reserve", options, std::move(done), apply);
}

void LedgerNetwork::Release(const Principal& who, const std::string& key, WriteOptions options,
                            WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    const State& state = parts_.ledger.state();
    const ReservationRecord* record = state.reservations().Find(key);
    for (const auto& [name, entry] : state.reservations().entries()) {
      if (record == nullptr && entry.record.api.address.str() == key) {
        record = &entry.record;
      }
    }
    if (record == nullptr || !May(who, Access::kWrite, "")) {
      const std::string holder = May(who, Access::kRead, "") ? HolderText(state, key) : "";
      return holder.empty()
                 ? NotFound("reservation", key)
                 : absl::FailedPreconditionError(StrCat("address ", key, ": belongs to ", holder,
                                                        ", which gives it back when it is "
                                                        "deleted or removed"));
    }
    BRAMBLE_RETURN_IF_ERROR(CheckIfMatch(options, record->api.generation, "reservation", key));
    const std::string name = record->api.name;
    change.AddEvent("address.released", ReferenceTo(*record), record->api.address.str());
    change.Erase(RowKind::kReservation, name);
    return Written{};
  };
  parts_.ledger.Write(who, "address.release", options, std::move(done), apply);
}

}  // namespace bramble::controller
