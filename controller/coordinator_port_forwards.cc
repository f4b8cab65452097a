// SPDX-License-Identifier: Apache-2.0
#include "controller/coordinator_port_forwards.h"

#include "api/problem.h"
#include "base/status.h"
#include "controller/network_services.h"

namespace bramble::controller {
namespace {

std::string ProtocolOf(const api::PortForward& forward) {
  return std::string(api::kProtocolNames[static_cast<size_t>(forward.protocol)]);
}

Listing<PortForwardRecord> ForwardListing() {
  return {.keys = {"name", "protocol", "port", "container", "project"},
          .field = [](const PortForwardRecord& record, std::string_view key) -> std::string {
            if (key == "name") return record.api.Key();
            if (key == "protocol") return ProtocolOf(record.api);
            if (key == "port") return StrCat(record.api.port);
            if (key == "container") return record.api.container;
            return record.api.project.str();
          },
          .project = [](const PortForwardRecord& record) { return record.api.project.str(); },
          .order =
              [](const PortForwardRecord& record) {
                const std::string port = StrCat(record.api.port);
                return StrCat(std::string(5 - port.size(), '0'), port, ProtocolOf(record.api));
              }};
}

}  // namespace

LedgerPortForwards::LedgerPortForwards(Ledger& ledger, const NetworkServices* services,
                                       std::set<uint16_t> own_ports)
    : ledger_(ledger),
      services_(services),
      own_ports_(std::move(own_ports)),
      list_(ForwardListing()) {}

absl::StatusOr<Rendered> LedgerPortForwards::List(const Principal& who, const ListQuery& query) {
  return list_.Page(ledger_, ledger_.state().port_forwards(), who, query);
}

void LedgerPortForwards::Add(const Principal& who, api::PortForward forward, WriteOptions options,
                             WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    const State& state = ledger_.state();
    if (!May(who, Access::kWrite, "")) {
      return absl::PermissionDeniedError("only an administrator may forward ports");
    }
    const ContainerRecord* container =
        state.FindContainer(forward.project.str(), forward.container);
    if (container == nullptr) {
      return NotFound("container", forward.container);
    }
    if (services_ == nullptr || services_->state().uplink.empty()) {
      return absl::FailedPreconditionError(
          "this controller has no uplink to forward from; set [network] uplink in "
          "/etc/bramble/controller.toml and restart it");
    }
    const auto in_use = [&forward](std::string_view why) {
      return api::WithCode(absl::AlreadyExistsError(
                               StrCat("port ", forward.port, "/", ProtocolOf(forward), ": ", why)),
                           api::kCodePortInUse);
    };
    if (const PortForwardRecord* other = state.port_forwards().Find(forward.Key())) {
      return in_use(StrCat("is forwarded to container \"", other->api.container,
                           "\" already; delete that first, or choose another port"));
    }
    if (forward.protocol == api::Protocol::kTcp && own_ports_.contains(forward.port)) {
      return in_use("the controller itself answers there; choose another port");
    }
    if (state.port_forwards().size() >= api::kMaxPortForwards) {
      return absl::ResourceExhaustedError(
          StrCat("there are ", api::kMaxPortForwards, " port forwards already"));
    }
    PortForwardRecord record{forward};
    record.api.generation = 1;
    record.api.container = container->api.name.str();
    record.api.address = container->api.status.address;
    record.api.created_at = change.now();
    change.AddEvent(
        "port-forward.added", ReferenceTo(record),
        StrCat("to container \"", record.api.container, "\", port ", record.api.container_port));
    change.Put(std::move(record));
    return Written{.object = ledger_.Body(state.port_forwards(), forward.Key()), .generation = 1};
  };
  ledger_.Write(who, "port-forward.add", options, std::move(done), apply);
}

void LedgerPortForwards::Delete(const Principal& who, const std::string& name, WriteOptions options,
                                WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    const PortForwardRecord* record = ledger_.state().port_forwards().Find(name);
    if (record == nullptr || !May(who, Access::kWrite, "")) {
      return NotFound("port forward", name);
    }
    BRAMBLE_RETURN_IF_ERROR(CheckIfMatch(options, record->api.generation, "port forward", name));
    change.AddEvent("port-forward.deleted", ReferenceTo(*record), "");
    change.Erase(RowKind::kPortForward, name);
    return Written{};
  };
  ledger_.Write(who, "port-forward.delete", options, std::move(done), apply);
}

}  // namespace bramble::controller
