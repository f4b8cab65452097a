// SPDX-License-Identifier: Apache-2.0
#include "controller/coordinator_floating_ips.h"

#include <algorithm>

#include "api/problem.h"
#include "base/status.h"
#include "controller/network_services.h"
#include "controller/network_view.h"

namespace bramble::controller {
namespace {

Listing<FloatingIpRecord> FloatingListing() {
  return {.keys = {"address", "container", "node", "project"},
          .field = [](const FloatingIpRecord& record, std::string_view key) -> std::string {
            if (key == "address") return record.api.address.str();
            if (key == "container") return record.api.container.str();
            if (key == "node") return record.api.node;
            return record.api.project.str();
          },
          .project = [](const FloatingIpRecord& record) { return record.api.project.str(); },
          .order =
              [](const FloatingIpRecord& record) {
                const std::string bits = StrCat(record.api.address.bits());
                return StrCat(std::string(10 - bits.size(), '0'), bits);
              }};
}

absl::Status Attached(const std::string& address, std::string_view why) {
  return api::WithCode(absl::AlreadyExistsError(StrCat("floating IP ", address, ": ", why)),
                       api::kCodeFloatingAttached);
}

}  // namespace

LedgerFloatingIps::LedgerFloatingIps(Ledger& ledger, Fleet& fleet)
    : ledger_(ledger), fleet_(fleet), list_(FloatingListing()) {}

absl::StatusOr<const FloatingIpRecord*> LedgerFloatingIps::Find(const Principal& who, Access access,
                                                                const std::string& address) const {
  const FloatingIpRecord* record = ledger_.state().floating_ips().Find(address);
  if (record == nullptr || !May(who, access, record->api.project.str())) {
    return NotFound("floating IP", address);
  }
  return record;
}

absl::StatusOr<Rendered> LedgerFloatingIps::Get(const Principal& who, const std::string& address) {
  BRAMBLE_ASSIGN_OR_RETURN(const FloatingIpRecord* record, Find(who, Access::kRead, address));
  return Rendered{ledger_.Body(ledger_.state().floating_ips(), address), record->api.generation};
}

absl::StatusOr<Rendered> LedgerFloatingIps::List(const Principal& who, const ListQuery& query) {
  return list_.Page(ledger_, ledger_.state().floating_ips(), who, query);
}

absl::StatusOr<Ipv4> LedgerFloatingIps::Choose(const api::AttachFloatingIp& request,
                                               const ContainerRecord& container) const {
  const State& state = ledger_.state();
  const AddressRange range = fleet_.plan().floating();
  if (request.address.empty()) {
    const std::optional<Ipv4> free = FreeAddress(state, range);
    if (!free.has_value()) {
      return api::WithCode(
          absl::ResourceExhaustedError(StrCat(
              "all ", range.size(), " floating IPs are attached: ", HoldersText(state, range),
              "; detach one, or widen the range with `bramble network change --floating`")),
          api::kCodePoolExhausted);
    }
    return *free;
  }
  const std::string address = request.address.str();
  BRAMBLE_RETURN_IF_ERROR(fleet_.plan().CheckUsable(request.address));
  if (!range.Contains(request.address.bits())) {
    return api::WithCode(
        absl::InvalidArgumentError(StrCat("floating IP ", address, ": not in the range ",
                                          AddressText(range.first), "-", AddressText(range.last))),
        api::kCodeAddressOutside);
  }
  const FloatingIpRecord* attached = state.floating_ips().Find(address);
  if (attached == nullptr) {
    if (const std::string holder = HolderText(state, address); !holder.empty()) {
      return Attached(address, StrCat("is kept for ", holder));
    }
    return request.address;
  }
  if (attached->api.container_id == container.api.id) {
    return Attached(address, StrCat("container \"", container.api.name.str(), "\" has it already"));
  }
  if (!request.move) {
    return Attached(address, StrCat("is attached to container \"", attached->api.container.str(),
                                    "\"; --move takes it from there"));
  }
  BRAMBLE_RETURN_IF_ERROR(CheckHolder(attached->api, request.force));
  return request.address;
}

absl::Status LedgerFloatingIps::CheckHolder(const api::FloatingIp& ip, bool force) const {
  const ContainerRecord* holder = ledger_.state().containers().Find(ip.container_id.str());
  const NodeRecord* node =
      holder == nullptr ? nullptr : ledger_.state().nodes().Find(holder->api.status.node_id.str());
  if (force || node == nullptr || node->api.state == api::NodeState::kReady ||
      node->api.state == api::NodeState::kOff) {
    return absl::OkStatus();
  }
  return api::WithCode(absl::FailedPreconditionError(StrCat(
                           "floating IP ", ip.address.str(), ": node \"", node->api.name.str(),
                           "\", which "
                           "announces it for container \"",
                           ip.container.str(),
                           "\", is silent and may "
                           "still be doing so; switch it off and use --force")),
                       api::kCodeHolderSilent);
}

void LedgerFloatingIps::TakeAway(Change& change, const api::FloatingIp& ip) {
  const std::string address = ip.address.str();
  if (const ContainerRecord* holder = ledger_.state().containers().Find(ip.container_id.str())) {
    ContainerRecord record = *holder;
    std::erase(record.api.status.floating_ips, address);
    fleet_.Put(change, std::move(record));
  }
}

void LedgerFloatingIps::Attach(const Principal& who, api::AttachFloatingIp request,
                               WriteOptions options, WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    const State& state = ledger_.state();
    const ContainerRecord* container =
        state.FindContainer(request.project.str(), request.container);
    if (container == nullptr || !May(who, Access::kWrite, request.project.str())) {
      return NotFound("container", request.container);
    }
    if (container->api.deleting) {
      return absl::FailedPreconditionError(
          StrCat("container \"", container->api.name.str(), "\" is being deleted"));
    }
    BRAMBLE_ASSIGN_OR_RETURN(const Ipv4 address, Choose(request, *container));
    ContainerRecord record = *container;
    FloatingIpRecord ip;
    const FloatingIpRecord* before = state.floating_ips().Find(address.str());
    if (before != nullptr) {
      if (!May(who, Access::kWrite, before->api.project.str())) {
        return NotFound("floating IP", address.str());
      }
      ip.api.generation = before->api.generation + 1;
      const api::FloatingIp taken = before->api;
      TakeAway(change, taken);
    }
    fleet_.AttachFloating(change, std::move(record), std::move(ip), address);
    return Written{.object = ledger_.Body(state.floating_ips(), address.str()),
                   .generation = state.floating_ips().Find(address.str())->api.generation};
  };
  ledger_.Write(who, "floating-ip.attach", options, std::move(done), apply);
}

void LedgerFloatingIps::Detach(const Principal& who, const Detachment& detachment,
                               WriteOptions options, WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    BRAMBLE_ASSIGN_OR_RETURN(const FloatingIpRecord* record,
                             Find(who, Access::kWrite, detachment.address));
    BRAMBLE_RETURN_IF_ERROR(
        CheckIfMatch(options, record->api.generation, "floating IP", detachment.address));
    BRAMBLE_RETURN_IF_ERROR(CheckHolder(record->api, detachment.force));
    const FloatingIpRecord gone = *record;
    change.AddEvent("floating-ip.detached", ReferenceTo(gone),
                    StrCat("from container \"", gone.api.container.str(), "\""));
    TakeAway(change, gone.api);
    change.Erase(RowKind::kFloatingIp, detachment.address);
    return Written{};
  };
  ledger_.Write(who, "floating-ip.detach", options, std::move(done), apply);
}

}  // namespace bramble::controller
