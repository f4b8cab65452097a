// SPDX-License-Identifier: Apache-2.0
// The beginning of a session: who it is, which epoch counts, and what it is sent first.

#include "base/encoding.h"
#include "base/status.h"
#include "controller/session_service.h"

namespace bramble::controller {
namespace {

constexpr size_t kSessionValueBytes = 16;
// A second card that was heard so lately is on now.
constexpr std::chrono::seconds kAliveWithin{60};

}  // namespace

LedgerSessions::Identity LedgerSessions::Compare(const NodeRecord& record, const Session& session,
                                                 const api::Hello& hello) const {
  const std::string& known_serial = record.api.inventory.serial;
  const std::string& serial = hello.inventory.serial;
  if (!known_serial.empty() && !serial.empty() && known_serial != serial) {
    return Identity::kClone;
  }
  // Nothing to compare with: the first session, or the first of an epoch.
  if (record.session_value.empty() || hello.session_value == record.session_value ||
      hello.session_value == record.previous_session_value) {
    return Identity::kSame;
  }
  // Its own board, or nothing shown at all (its disk was full, or its journal is lost): a copy
  // brings a value of some session with it.
  const bool same_board = !known_serial.empty() && known_serial == serial;
  if (hello.session_value.empty()) {
    return Identity::kDoubtful;
  }
  const auto other = sessions_.find(record.api.id);
  const bool alive =
      other != sessions_.end() && other->second.welcomed && other->second.link != session.link;
  const auto heard = parts_.health.LastHeard(record.api.id);
  const bool lately = heard.has_value() && parts_.ledger.clock().Boot() - *heard < kAliveWithin &&
                      record.api.inventory.boot_id != hello.inventory.boot_id;
  return !same_board && (alive || lately) ? Identity::kClone : Identity::kDoubtful;
}

void LedgerSessions::SendHeldAndEnd(LinkId link, api::Held held) {
  const std::string reason = held.reason;
  parts_.links.Send(link, std::make_shared<const std::string>(
                              api::Encode(api::ControllerMessage(std::move(held)))));
  links_.erase(link);
  parts_.links.Close(link, reason);
}

void LedgerSessions::Hold(const NodeRecord& record, const std::string& reason) {
  const NodeId id = record.api.id;
  std::vector<LinkId> open;
  for (const auto& [link, of] : links_) {
    if (of == id) {
      open.push_back(link);
    }
  }
  NodeRecord held = record;
  held.api.state = api::NodeState::kHeld;
  held.api.reason = reason;
  const Principal system = Principal::System();
  Change change(parts_.ledger, system, "node.hold");
  change.AddEvent("node.held", ReferenceTo(held), reason);
  parts_.fleet.Put(change, std::move(held));
  parts_.health.Forget(id);
  parts_.ledger.Commit(std::move(change), nullptr);
  for (const LinkId link : open) {
    SendHeldAndEnd(link, {.reason = reason});
  }
  sessions_.erase(id);
}

bool LedgerSessions::AdmitHeld(const NodeRecord& record, Session& session,
                               const api::Hello& hello) {
  if (!record.reset) {
    if (record.api.state == api::NodeState::kHeld) {
      SendHeldAndEnd(session.link, {.reason = record.api.reason});
      return false;
    }
    return true;
  }
  const std::string& serial = record.api.inventory.serial;
  const bool by_serial = !serial.empty() && !hello.inventory.serial.empty();
  const bool first = by_serial ? serial == hello.inventory.serial
                               : hello.session_value == record.session_value ||
                                     hello.session_value == record.previous_session_value;
  if (first) {
    return true;  // UpdateFrom lets it in again
  }
  NodeRecord told = record;
  told.reset = false;
  if (told.api.state == api::NodeState::kHeld) {
    told.api.state = api::NodeState::kSuspect;
    told.api.reason = "waits for the first card to connect";
    parts_.health.Watch(told);
  }
  const Principal system = Principal::System();
  Change change(parts_.ledger, system, "node.reset");
  change.AddEvent("node.reset", ReferenceTo(told), "a second card was told to join anew");
  parts_.fleet.Put(change, std::move(told));
  parts_.ledger.Commit(std::move(change), nullptr);
  SendHeldAndEnd(session.link, {.reason = "this card is a copy; it joins anew as another node",
                                .new_identity = true});
  return false;
}

bool LedgerSessions::Admit(const NodeRecord& record, Session& session, const api::Hello& hello) {
  if (hello.protocol != api::kNodeProtocolVersion) {
    links_.erase(session.link);
    parts_.links.Close(session.link, StrCat("this controller speaks version ",
                                            api::kNodeProtocolVersion, " of the node protocol"));
    return false;
  }
  if (record.reset || record.api.state == api::NodeState::kHeld) {
    return AdmitHeld(record, session, hello);
  }
  return true;
}

void LedgerSessions::OpenEpoch(Change& change, uint64_t epoch, std::string why, const NodeId& by) {
  ClusterRecord cluster = parts_.ledger.state().cluster();
  cluster.epoch = epoch;
  cluster.adopting = true;
  change.Put(std::move(cluster));
  change.AddEvent("cluster.epoch_opened",
                  {"cluster", parts_.ledger.state().cluster().id.str(), "", ""}, why,
                  json::object{{"epoch", epoch}});
  std::vector<NodeRecord> nodes;
  for (const auto& [id, entry] : parts_.ledger.state().nodes().entries()) {
    nodes.push_back(entry.record);
  }
  for (NodeRecord& node : nodes) {
    node.session_value.clear();
    node.previous_session_value.clear();
    // Of the history that is given up: what it moved away may have been moved back since.
    node.tombstones.clear();
    const NodeId id = node.api.id;
    parts_.fleet.Put(change, std::move(node));
    if (id != by) {
      Close(id, "a new epoch was opened; dial again");
    }
  }
  reported_.clear();
  adopting_since_ = parts_.ledger.clock().Boot();
  if (absl::Status rebuilt = parts_.fleet.Rebuild(); !rebuilt.ok()) {
    change.AddEvent("cluster.failed", {"cluster", "", "", ""}, std::string(MessageOf(rebuilt)));
  }
}

NodeRecord LedgerSessions::UpdateFrom(const NodeRecord& record, const api::Hello& hello) {
  NodeRecord node = record;
  node.previous_session_value = hello.session_value;
  node.session_value = Base64UrlEncode(parts_.ledger.random().Bytes(kSessionValueBytes));
  if (node.api.state != api::NodeState::kReady) {
    node.api.state = api::NodeState::kReady;
    node.api.reason.clear();
  }
  node.api.inventory = hello.inventory;
  if (hello.inventory.serial.empty()) {
    node.api.inventory.serial = record.api.inventory.serial;
  }
  node.api.conditions = hello.conditions;
  node.api.images = hello.images;
  node.api.last_seen_at = parts_.ledger.clock().Wall();
  node.api.address = parts_.fleet.NodeAddress(
      record.api.id.str(), record.api.address.empty() ? hello.address : record.api.address);
  // What the node no longer asks for goes; what a person set stays.
  for (const auto& [key, value] : record.declared_labels) {
    const auto found = node.api.labels.find(key);
    if (found != node.api.labels.end() && found->second == value && !hello.labels.contains(key)) {
      node.api.labels.erase(found);
    }
  }
  for (const auto& [key, value] : hello.labels) {
    const auto before = record.declared_labels.find(key);
    if (before == record.declared_labels.end() || before->second != value) {
      node.api.labels[key] = value;
    }
  }
  node.declared_labels = hello.labels;
  return node;
}

void LedgerSessions::QueueWelcome(Change& change, const NodeRecord& record, LinkId link) {
  const Timing& timing = parts_.health.timing();
  const ClusterRecord& cluster = parts_.ledger.state().cluster();
  QueueMessage(change, link,
               api::Welcome{.epoch = cluster.epoch,
                            .cluster_id = cluster.id,
                            .name = record.api.name,
                            .session_value = record.session_value,
                            .heartbeat_ms = parts_.health.Heartbeat().count(),
                            .lease_ms = timing.lease.count(),
                            .stop_ms = timing.stop.count(),
                            .signed_time_ms = parts_.signed_clock.Now(),
                            .address = record.api.address.empty()
                                           ? ""
                                           : parts_.fleet.plan().WithLength(record.api.address)});
}

void LedgerSessions::OnHello(const NodeId& id, Session& session, const api::Hello& hello) {
  const NodeRecord* record = parts_.ledger.state().nodes().Find(id.str());
  if (record == nullptr || !Admit(*record, session, hello)) {
    return;
  }
  const Principal who = Principal::Node(id, record->api.name);
  Change change(parts_.ledger, who, "node.connect");
  if (const auto epoch = EpochAbove(parts_.fleet.Now(), hello.version)) {
    OpenEpoch(change, *epoch,
              StrCat("node \"", record->api.name.str(), "\" has seen epoch ", hello.version.epoch,
                     ", generation ", hello.version.generation,
                     ", which this controller does not know: it was rolled back or restored; "
                     "nothing is destroyed, and what nodes run is adopted"),
              id);
    record = parts_.ledger.state().nodes().Find(id.str());
  } else if (hello.version > parts_.fleet.Now() && epochs_refused_.insert(id).second) {
    change.AddEvent(
        "node.epoch_refused", ReferenceTo(*record),
        StrCat("it says that it has seen epoch ", hello.version.epoch, ", more than ",
               kMaxEpochsAhead, " beyond this controller's ", parts_.fleet.Now().epoch,
               ", and takes no order from it: its journal is damaged, or it is of another cluster; "
               "`bramble node remove ",
               record->api.name.str(),
               " --force`, then empty its state "
               "directory and let it join anew"));
  }
  const Identity identity = Compare(*record, session, hello);
  if (identity == Identity::kClone) {
    if (!change.empty()) {
      parts_.ledger.Commit(std::move(change), nullptr);
      record = parts_.ledger.state().nodes().Find(id.str());
    }
    Hold(*record, StrCat("two cards present the key of node \"", record->api.name.str(),
                         "\" (serials \"", record->api.inventory.serial, "\" and \"",
                         hello.inventory.serial, "\"): one is a copy; `bramble node reset ",
                         record->api.name.str(), "` gives the copy an identity of its own"));
    return;
  }
  if (identity == Identity::kDoubtful) {
    change.AddEvent("node.session_lost", ReferenceTo(*record),
                    "the node lost its session value; if its card was copied, both will be held");
  }
  // The connection that was in use is an old one of the same node.
  if (const auto old = sessions_.find(id);
      old != sessions_.end() && old->second.link != session.link) {
    const LinkId link = old->second.link;
    sessions_.erase(old);
    links_.erase(link);
    parts_.links.Close(link, "replaced by a newer connection of this node");
  }
  const bool was_ready = record->api.state == api::NodeState::kReady;
  NodeRecord updated = UpdateFrom(*record, hello);
  session.welcomed = true;
  if (hello.network.has_value()) {
    NoteNetwork(change, *record, session, *hello.network);
  }
  const api::NodeState before = record->api.state;
  change.AddEvent("node.connected", ReferenceTo(updated), was_ready ? "" : "ready");
  parts_.fleet.Put(change, std::move(updated));
  record = parts_.ledger.state().nodes().Find(id.str());
  if (before == api::NodeState::kHeld || before == api::NodeState::kOff ||
      !parts_.health.LastHeard(id).has_value()) {
    parts_.health.Watch(*record);
  }
  QueueWelcome(change, *record, session.link);
  sessions_[id] = session;
  if (!TakingStock()) {
    QueueFull(change, id, sessions_[id]);
  }
  parts_.ledger.Commit(std::move(change), nullptr);
  parts_.health.OnHeard(id);
}

}  // namespace bramble::controller
