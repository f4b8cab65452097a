// SPDX-License-Identifier: Apache-2.0
#include "controller/coordinator_network.h"

#include "api/json_lists.h"
#include "api/problem.h"
#include "base/status.h"
#include "controller/network_services.h"
#include "controller/network_view.h"

namespace bramble::controller {
namespace {

constexpr int kMaxProbeRounds = 8;

Listing<ProjectRecord> ProjectListing() {
  return {.keys = {"name"},
          .field = [](const ProjectRecord& record, std::string_view) -> std::string {
            return record.api.name.str();
          },
          .project = [](const ProjectRecord& record) { return record.api.name.str(); },
          .order = [](const ProjectRecord& record) { return record.api.name.str(); }};
}

api::ObjectReference NetworkReference() { return {"network", "network", "network", ""}; }

// Of the patch, what is not the plan of addresses.
void ApplySettings(const api::NetworkPatch& patch, NetworkSettings& settings) {
  settings.guests = patch.guests.value_or(settings.guests);
  settings.masquerade = patch.masquerade.value_or(settings.masquerade);
  settings.upstream_dns = patch.upstream_dns.value_or(settings.upstream_dns);
}

// The ranges that are set once `patch` is applied; a new prefix starts from the formula.
api::IpRanges RangesAfter(const ClusterRecord& cluster, const api::NetworkPatch& patch) {
  const bool afresh =
      patch.default_ranges || (patch.prefix.has_value() && patch.prefix->str() != cluster.prefix);
  api::IpRanges ranges = afresh ? api::IpRanges{} : cluster.network.ranges;
  for (const auto& [use, range] : patch.ranges) {
    ranges[use] = range;
  }
  return ranges;
}

SharedText Text(const json::object& object) {
  return std::make_shared<const std::string>(json::serialize(object));
}

}  // namespace

LedgerNetwork::LedgerNetwork(Parts parts) : parts_(parts), projects_(ProjectListing()) {}

SharedText LedgerNetwork::Render() const {
  const State& state = parts_.ledger.state();
  const NetworkSettings& settings = state.cluster().network;
  const AddressPlan& plan = parts_.fleet.plan();
  api::Network network{.generation = settings.generation,
                       .prefix = plan.prefix(),
                       .gateway = AddressOf(plan.gateway()),
                       .domain = kDomain,
                       .ranges = plan.Ranges(),
                       .guests = settings.guests,
                       .masquerade = settings.masquerade,
                       .upstream_dns = settings.upstream_dns,
                       .dns_state = "off",
                       .dhcp_state = "off",
                       .gateway_state = "off"};
  if (parts_.services != nullptr) {
    const NetworkServiceState& services = parts_.services->state();
    network.interface = services.interface;
    network.uplink = services.uplink;
    network.dns_state = services.dns;
    network.dhcp_state = services.dhcp;
    network.gateway_state = services.gateway;
    network.rivals = services.rivals;
  }
  for (size_t i = 1; i < std::size(api::kAddressUseNames); ++i) {
    network.use[std::string(api::kAddressUseNames[i])].size =
        plan.Range(static_cast<api::AddressUse>(i)).size();
  }
  for (const api::Address& address : AllAddresses()) {
    if (address.use != api::AddressUse::kGateway) {
      ++network.use[std::string(api::kAddressUseNames[static_cast<size_t>(address.use)])].used;
    }
  }
  return Text(api::ToJson(network));
}

absl::StatusOr<Rendered> LedgerNetwork::Get(const Principal& who) {
  if (!May(who, Access::kRead, "")) {
    return NotFound("network", "network");
  }
  return Rendered{Render(), parts_.ledger.state().cluster().network.generation};
}

absl::StatusOr<AddressPlan> LedgerNetwork::PlanOf(const api::NetworkPatch& patch) const {
  const ClusterRecord& cluster = parts_.ledger.state().cluster();
  const std::string prefix = patch.prefix.has_value() ? patch.prefix->str() : cluster.prefix;
  return AddressPlan::Make(prefix, RangesAfter(cluster, patch));
}

absl::StatusOr<Rendered> LedgerNetwork::Plan(const Principal& who, const api::NetworkPatch& patch) {
  if (!May(who, Access::kRead, "")) {
    return NotFound("network", "network");
  }
  BRAMBLE_ASSIGN_OR_RETURN(const AddressPlan to, PlanOf(patch));
  const api::NetworkPlan plan =
      PlanPrefixChange(parts_.fleet.plan(), to, AddressHolders(parts_.ledger.state()));
  return Rendered{Text(api::ToJson(plan))};
}

std::set<Ipv4> LedgerNetwork::Unasked(const api::NetworkPlan& plan,
                                      const std::set<Ipv4>& asked) const {
  std::set<Ipv4> unasked;
  for (const api::NetworkMove& move : plan.moves) {
    if (!asked.contains(move.to) && parts_.ledger.state().AddressOwner(move.to.str()).empty()) {
      unasked.insert(move.to);
    }
  }
  return unasked;
}

void LedgerNetwork::Alter(const Principal& who, api::NetworkPatch patch, WriteOptions options,
                          WriteDone done) {
  AskAndAlter(std::make_shared<Altering>(Altering{.who = who,
                                                  .patch = std::move(patch),
                                                  .options = std::move(options),
                                                  .done = std::move(done)}));
}

// What is found to be another machine's is replaced by what has to be asked for in its turn.
void LedgerNetwork::AskAndAlter(const std::shared_ptr<Altering>& altering) {
  std::set<Ipv4> unasked;
  const absl::StatusOr<AddressPlan> to = PlanOf(altering->patch);
  if (to.ok() && May(altering->who, Access::kWrite, "") && altering->rounds++ < kMaxProbeRounds) {
    const api::NetworkPlan plan = PlanPrefixChange(
        parts_.fleet.plan(), *to, AddressHolders(parts_.ledger.state()), altering->in_use);
    if (plan.refusals.empty()) {
      unasked = Unasked(plan, altering->asked);
    }
  }
  if (unasked.empty()) {
    WriteNetwork(*altering);
    return;
  }
  altering->waiting = unasked.size();
  for (const Ipv4 address : unasked) {
    altering->asked.insert(address);
    parts_.prober.Probe(address.str(), [this, altering, address](bool in_use) {
      if (in_use) {
        altering->in_use.insert(address);
      }
      if (--altering->waiting == 0) {
        AskAndAlter(altering);
      }
    });
  }
}

void LedgerNetwork::WriteNetwork(Altering& altering) {
  const Principal& who = altering.who;
  const api::NetworkPatch& patch = altering.patch;
  const WriteOptions& options = altering.options;
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    if (!May(who, Access::kWrite, "")) {
      return absl::PermissionDeniedError("only an administrator may change the network");
    }
    const State& state = parts_.ledger.state();
    BRAMBLE_RETURN_IF_ERROR(
        CheckIfMatch(options, state.cluster().network.generation, "network", "network"));
    BRAMBLE_ASSIGN_OR_RETURN(const AddressPlan to, PlanOf(patch));
    const api::NetworkPlan plan =
        PlanPrefixChange(parts_.fleet.plan(), to, AddressHolders(state), altering.in_use);
    if (!plan.refusals.empty()) {
      return api::WithCode(
          absl::FailedPreconditionError(StrCat(
              "the network cannot be changed to ", to.prefix().str(), ": ", plan.refusals.front(),
              plan.refusals.size() == 1 ? "" : StrCat(" and ", plan.refusals.size() - 1, " more"),
              "; choose a larger prefix or range (`bramble network change --dry-run`)")),
          api::kCodePrefixTooSmall);
    }
    if (!Unasked(plan, altering.asked).empty()) {
      return absl::UnavailableError(
          StrCat("the network is not changed: while its new addresses were asked for, others "
                 "came into use (",
                 altering.in_use.size(), " are other machines'); try again"));
    }
    ClusterRecord cluster = state.cluster();
    const std::string before = cluster.prefix;
    cluster.network.ranges = RangesAfter(cluster, patch);
    ApplySettings(patch, cluster.network);
    ++cluster.network.generation;
    cluster.prefix = to.prefix().str();
    if (before != cluster.prefix) {
      const std::chrono::seconds kept(api::kOldAddressKeptSeconds);
      cluster.network.old_prefix = before;
      cluster.network.old_prefix_until_ms =
          (change.now() + kept).time_since_epoch() / std::chrono::milliseconds(1);
    }
    change.AddEvent("network.changed", NetworkReference(),
                    before == cluster.prefix ? StrCat(plan.moves.size(), " objects move")
                                             : StrCat("from ", before, " to ", cluster.prefix, "; ",
                                                      plan.moves.size(), " objects move"));
    change.Put(std::move(cluster));
    BRAMBLE_RETURN_IF_ERROR(parts_.fleet.Replan());
    Move(change, plan);
    return Written{.object = Render(), .generation = state.cluster().network.generation};
  };
  parts_.ledger.Write(who, "network.change", options, std::move(altering.done), apply);
}

void LedgerNetwork::Move(Change& change, const api::NetworkPlan& plan) {
  const State& state = parts_.ledger.state();
  // Rows of floating IPs are named by their addresses: all go before any comes.
  std::vector<FloatingIpRecord> floating;
  for (const api::NetworkMove& move : plan.moves) {
    if (move.kind == "floating-ip") {
      FloatingIpRecord record = *state.floating_ips().Find(move.id);
      change.Erase(RowKind::kFloatingIp, move.id);
      ContainerRecord holder = *state.containers().Find(record.api.container_id.str());
      for (std::string& address : holder.api.status.floating_ips) {
        address = address == move.id ? move.to.str() : address;
      }
      record.api.address = move.to;
      ++record.api.generation;
      floating.push_back(std::move(record));
      parts_.fleet.Put(change, std::move(holder));
    }
  }
  for (FloatingIpRecord& record : floating) {
    change.Put(std::move(record));
  }
  for (const api::NetworkMove& move : plan.moves) {
    if (move.kind == "node") {
      NodeRecord record = *state.nodes().Find(move.id);
      record.api.address = move.to.str();
      ++record.api.generation;
      parts_.fleet.Put(change, std::move(record));
    } else if (move.kind == "reservation") {
      ReservationRecord record = *state.reservations().Find(move.id);
      record.api.address = move.to;
      ++record.api.generation;
      change.Put(std::move(record));
    }
  }
  // Containers last: they are told the new addresses of their nodes.
  for (const api::NetworkMove& move : plan.moves) {
    if (move.kind == "container") {
      ContainerRecord record = *state.containers().Find(move.id);
      record.api.status.address = move.to.str();
      ++record.api.generation;
      parts_.fleet.Put(change, std::move(record));
    }
  }
  std::vector<const ContainerRecord*> all;
  for (const auto& [id, entry] : state.containers().entries()) {
    all.push_back(&entry.record);
  }
  for (const ContainerRecord* container : all) {
    parts_.fleet.Refresh(change, *container);
  }
}

absl::StatusOr<Rendered> LedgerNetwork::Findings(const Principal& who) {
  if (!May(who, Access::kRead, "")) {
    return NotFound("network", "network");
  }
  return Rendered{Text({{"items", api::ObjectsToJson(Diagnose())}})};
}

absl::StatusOr<Rendered> LedgerNetwork::GetProject(const Principal& who, const std::string& name) {
  const ProjectRecord* record = parts_.ledger.state().projects().Find(name);
  if (record == nullptr || !May(who, Access::kRead, name)) {
    return NotFound("project", name);
  }
  return Rendered{parts_.ledger.Body(parts_.ledger.state().projects(), name),
                  record->api.generation};
}

absl::StatusOr<Rendered> LedgerNetwork::ListProjects(const Principal& who, const ListQuery& query) {
  return projects_.Page(parts_.ledger, parts_.ledger.state().projects(), who, query);
}

void LedgerNetwork::ChangeProject(const Principal& who, const std::string& name,
                                  bool auto_floating_ip, WriteOptions options, WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    const ProjectRecord* found = parts_.ledger.state().projects().Find(name);
    if (found == nullptr || !May(who, Access::kWrite, name)) {
      return NotFound("project", name);
    }
    BRAMBLE_RETURN_IF_ERROR(CheckIfMatch(options, found->api.generation, "project", name));
    ProjectRecord record = *found;
    record.api.auto_floating_ip = auto_floating_ip;
    ++record.api.generation;
    const uint64_t generation = record.api.generation;
    change.AddEvent("project.changed", ReferenceTo(record), "");
    change.Put(std::move(record));
    return Written{.object = parts_.ledger.Body(parts_.ledger.state().projects(), name),
                   .generation = generation};
  };
  parts_.ledger.Write(who, "project.change", options, std::move(done), apply);
}

void LedgerNetwork::OnRivals(const std::vector<api::RivalDhcp>& rivals) {
  if (!parts_.ledger.Writable().ok()) {
    return;
  }
  std::set<std::string> now;
  const Principal system = Principal::System();
  Change change(parts_.ledger, system, "network.rival_dhcp");
  for (const api::RivalDhcp& rival : rivals) {
    const std::string key = StrCat(rival.address.str(), " ", rival.mac);
    now.insert(key);
    if (!rivals_.contains(key)) {
      change.AddEvent("network.rival_dhcp", NetworkReference(),
                      StrCat("another DHCP server answers on the cluster's segment: ",
                             rival.address.str(), " (", rival.mac, ")"));
    }
  }
  for (const std::string& gone : rivals_) {
    if (!now.contains(gone)) {
      change.AddEvent("network.rival_dhcp_gone", NetworkReference(),
                      StrCat("the DHCP server ", gone, " no longer answers"));
    }
  }
  rivals_ = std::move(now);
  if (!change.empty()) {
    parts_.ledger.Commit(std::move(change), nullptr);
  }
}

// ---- Duplicate addresses

void LedgerNetwork::Tick() {
  const std::vector<AddressHolder> holders = AddressHolders(parts_.ledger.state());
  // The next after the one that was asked about last, round and round.
  const AddressHolder* next = nullptr;
  const AddressHolder* first = nullptr;
  for (const AddressHolder& holder : holders) {
    if (holder.kind == "reservation") {
      continue;
    }
    const std::string address = holder.address.str();
    if (address > asked_ && (next == nullptr || address < next->address.str())) {
      next = &holder;
    }
    if (first == nullptr || address < first->address.str()) {
      first = &holder;
    }
  }
  next = next == nullptr ? first : next;
  if (next == nullptr) {
    return;
  }
  asked_ = next->address.str();
  parts_.prober.WhoHas(asked_, [this, address = asked_](const std::vector<std::string>& macs) {
    OnWho(address, macs);
  });
}

void LedgerNetwork::OnWho(const std::string& address, const std::vector<std::string>& macs) {
  if (macs.size() < 2) {
    conflicts_.erase(address);
    return;
  }
  const bool known = conflicts_.contains(address);
  conflicts_[address] = macs;
  if (known || !parts_.ledger.Writable().ok()) {
    return;
  }
  const Principal system = Principal::System();
  Change change(parts_.ledger, system, "network.address_conflict");
  std::string all;
  for (const std::string& mac : macs) {
    all = StrCat(all, all.empty() ? "" : " and ", mac);
  }
  change.AddEvent("network.address_conflict", {"address", address, address, ""},
                  StrCat("two machines answer for ", address, ", which is ",
                         HolderText(parts_.ledger.state(), address), "'s: ", all));
  parts_.ledger.Commit(std::move(change), nullptr);
}

}  // namespace bramble::controller
