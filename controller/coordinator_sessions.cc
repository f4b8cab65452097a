// SPDX-License-Identifier: Apache-2.0
#include "controller/coordinator_sessions.h"

#include <algorithm>
#include <cstdlib>

#include "base/status.h"
#include "controller/session_service.h"

namespace bramble::controller {
namespace {

constexpr size_t kMaxCommandsWaiting = 1000;
// Not at every heartbeat: each time the lists of nodes are rendered anew.
constexpr std::chrono::seconds kSeenEvery{30};
constexpr std::string_view kPowerOff = "node.poweroff";

SharedText Shared(const api::ControllerMessage& message) {
  return std::make_shared<const std::string>(api::Encode(message));
}

}  // namespace

LedgerSessions::Session* LedgerSessions::FindSession(LinkId link, NodeId* node) {
  const auto found = links_.find(link);
  if (found == links_.end()) {
    return nullptr;
  }
  *node = found->second;
  const auto session = sessions_.find(found->second);
  return session == sessions_.end() || session->second.link != link ? nullptr : &session->second;
}

bool LedgerSessions::Connected(const NodeId& node) const {
  const auto found = sessions_.find(node);
  return found != sessions_.end() && found->second.welcomed;
}

void LedgerSessions::OnConnected(LinkId link, const NodeId& node, std::string) {
  if (parts_.ledger.state().nodes().Find(node.str()) == nullptr) {
    parts_.links.Close(link, "this node is not known; it has to join again");
    return;
  }
  links_[link] = node;
  // The session in use goes on until the new one has said who it is.
  if (!sessions_.contains(node)) {
    sessions_[node] = Session{.link = link};
  }
}

void LedgerSessions::OnDisconnected(LinkId link) {
  NodeId node;
  const Session* session = FindSession(link, &node);
  links_.erase(link);
  if (session != nullptr) {
    sessions_.erase(node);
  }
}

void LedgerSessions::Close(const NodeId& node, std::string reason) {
  std::vector<LinkId> open;
  for (const auto& [link, of] : links_) {
    if (of == node) {
      open.push_back(link);
    }
  }
  for (const LinkId link : open) {
    links_.erase(link);
    parts_.links.Close(link, reason);
  }
  sessions_.erase(node);
}

void LedgerSessions::OnMessage(LinkId link, api::NodeMessage message) {
  const auto known = links_.find(link);
  if (known == links_.end()) {
    return;  // of a connection that is over
  }
  const NodeId node = known->second;
  if (!parts_.ledger.Writable().ok()) {
    // It dials again, and then says all of it again.
    if (!std::holds_alternative<api::Heartbeat>(message)) {
      Close(node, "the controller's store failed; dial again");
    }
    return;
  }
  if (const auto* hello = std::get_if<api::Hello>(&message)) {
    Session fresh{.link = link, .boot_id = hello->inventory.boot_id};
    OnHello(node, fresh, *hello);
    return;
  }
  NodeId same;
  Session* session = FindSession(link, &same);
  if (session == nullptr || !session->welcomed) {
    return;
  }
  parts_.health.OnHeard(node);
  if (const auto* heartbeat = std::get_if<api::Heartbeat>(&message)) {
    OnHeartbeat(node, *session, *heartbeat);
  } else if (auto* report = std::get_if<api::Report>(&message)) {
    OnReport(node, *session, std::move(*report));
  } else if (const auto* result = std::get_if<api::CommandResult>(&message)) {
    OnCommandResult(node, *result);
  } else if (std::holds_alternative<api::Resync>(message)) {
    OnResync(node, *session);
  }
}

void LedgerSessions::QueueMessage(Change& change, LinkId link,
                                  const api::ControllerMessage& message) {
  QueueText(change, link, Shared(message));
}

void LedgerSessions::QueueText(Change& change, LinkId link, SharedText text) {
  change.AfterDurable([this, link, text = std::move(text)] {
    if (links_.contains(link)) {
      parts_.links.Send(link, text);
    }
  });
}

// Names before what refers to them, though the order does not matter to a node.
void LedgerSessions::QueueNews(Change& change, LinkId link, const NetworkFeed::News& news) {
  for (const SharedText& text : {news.names, news.network}) {
    if (text != nullptr) {
      QueueText(change, link, text);
    }
  }
}

const api::NetworkReport* LedgerSessions::NetworkOf(const NodeId& node) const {
  const auto found = sessions_.find(node);
  return found == sessions_.end() || !found->second.network.has_value() ? nullptr
                                                                        : &*found->second.network;
}

void LedgerSessions::QueueFull(Change& change, const NodeId& node, Session& session) {
  api::Desired desired = parts_.fleet.Desired(node).Full();
  desired.version = {parts_.ledger.state().cluster().epoch, change.revision()};
  session.queued = desired.version;
  session.synced = true;
  QueueMessage(change, session.link, std::move(desired));
  QueueNews(change, session.link, parts_.network.AllFor(node, change));
}

void LedgerSessions::OnCommit(Change& change) {
  if (parts_.network.Due()) {
    parts_.network.Update(change);
    for (const auto& [node, session] : sessions_) {
      if (session.synced) {
        QueueNews(change, session.link, parts_.network.NewsFor(node, change));
      }
    }
  }
  for (const NodeId& node : parts_.fleet.TakeDirty()) {
    const auto found = sessions_.find(node);
    if (found == sessions_.end() || !found->second.synced) {
      continue;
    }
    Session& session = found->second;
    if (std::optional<api::Desired> delta = parts_.fleet.Desired(node).Since(session.queued)) {
      session.queued = delta->version;
      QueueMessage(change, session.link, *std::move(delta));
    }
  }
}

void LedgerSessions::OnHeartbeat(const NodeId& node, Session& session,
                                 const api::Heartbeat& heartbeat) {
  const NodeRecord* record = parts_.ledger.state().nodes().Find(node.str());
  if (record == nullptr) {
    return;
  }
  if (heartbeat.conditions != record->api.conditions) {
    NodeRecord changed = *record;
    changed.api.conditions = heartbeat.conditions;
    const Principal who = Principal::Node(node, record->api.name);
    Change change(parts_.ledger, who, "node.conditions");
    change.AddEvent("node.conditions", ReferenceTo(changed), "");
    parts_.fleet.Put(change, std::move(changed));
    parts_.ledger.Commit(std::move(change), nullptr);
    record = parts_.ledger.state().nodes().Find(node.str());
  }
  if (record->api.state != api::NodeState::kOff) {
    session.off_since.reset();
  } else if (!session.off_since.has_value()) {
    session.off_since = parts_.ledger.clock().Boot();
  } else if (parts_.ledger.clock().Boot() - *session.off_since >= kCommandDeadline) {
    session.off_since.reset();
    const Principal system = Principal::System();
    Change change(parts_.ledger, system, "node.poweroff_failed");
    TakeBackOff(change, *record, "it was ordered off and is still heard; switch it off again");
    parts_.ledger.Commit(std::move(change), nullptr);
    record = parts_.ledger.state().nodes().Find(node.str());
  }
  if (heartbeat.clock_step_ms != 0) {
    const Principal who = Principal::Node(node, record->api.name);
    Change change(parts_.ledger, who, "node.clock_stepped");
    change.AddEvent("node.clock_stepped", ReferenceTo(*record),
                    StrCat("its clock was set ", heartbeat.clock_step_ms < 0 ? "back" : "forward",
                           " by ", std::abs(heartbeat.clock_step_ms), " ms, to the controller's"),
                    json::object{{"by_ms", heartbeat.clock_step_ms}});
    parts_.ledger.Commit(std::move(change), nullptr);
  }
  const WallTime now = parts_.ledger.clock().Wall();
  if (now - record->api.last_seen_at.value_or(WallTime{}) >= kSeenEvery) {
    parts_.ledger.EditNode(node.str())->api.last_seen_at = now;
  }
  const Timing& timing = parts_.health.timing();
  const api::HeartbeatReply reply{
      .sequence = heartbeat.sequence,
      .sent_boot_ns = heartbeat.sent_boot_ns,
      .lease_ms = parts_.health.GrantLease(*record) ? timing.lease.count() : 0,
      .heartbeat_ms = parts_.health.Heartbeat().count(),
      .signed_time_ms = parts_.signed_clock.Now()};
  parts_.links.Send(session.link, Shared(reply));
}

void LedgerSessions::OnResync(const NodeId& node, Session& session) {
  if (!session.synced) {
    return;
  }
  const Principal system = Principal::System();
  Change change(parts_.ledger, system, "node.resync");
  change.OmitAudit();
  QueueFull(change, node, session);
  parts_.ledger.Commit(std::move(change), nullptr);
}

absl::Status LedgerSessions::Send(const NodeId& node, const api::ControllerMessage& message) {
  const auto found = sessions_.find(node);
  if (found == sessions_.end() || !found->second.welcomed) {
    return absl::UnavailableError("the node is not connected");
  }
  parts_.links.Send(found->second.link, Shared(message));
  return absl::OkStatus();
}

bool LedgerSessions::MayFetchBlob(const NodeId& node, std::string_view digest) const {
  const State& state = parts_.ledger.state();
  const auto& ids = state.ContainersOn(node);
  const bool runs = std::any_of(ids.begin(), ids.end(), [&](const std::string& id) {
    return state.containers().Find(id)->api.status.image_digest == digest;
  });
  if (runs) {
    return true;
  }
  const auto& all = state.containers().entries();
  return std::any_of(all.begin(), all.end(), [&](const auto& entry) {
    const ContainerRecord& record = entry.second.record;
    return record.move.has_value() && record.move->target == node &&
           record.api.status.image_digest == digest;
  });
}

absl::StatusOr<std::string> LedgerSessions::ContextFor(const NodeId& node,
                                                       std::string_view id) const {
  const State& state = parts_.ledger.state();
  const ContextRecord* context = state.contexts().Find(id);
  for (const auto& [key, entry] : state.containers().entries()) {
    if (context == nullptr || entry.record.context != id) {
      continue;
    }
    const std::vector<NodeId> nodes = entry.record.Nodes();
    if (std::find(nodes.begin(), nodes.end(), node) != nodes.end()) {
      return json::serialize(api::ToJson(context->context));
    }
  }
  return absl::NotFoundError("context: not found");
}

void LedgerSessions::ExpectResult(const std::string& command_id, const OperationId& operation) {
  if (commands_.size() >= kMaxCommandsWaiting) {
    commands_.clear();  // their operations end by their deadlines
  }
  commands_[command_id] = operation;
}

void LedgerSessions::OnCommandResult(const NodeId& node, const api::CommandResult& result) {
  const auto found = commands_.find(result.command_id);
  const NodeRecord* record = parts_.ledger.state().nodes().Find(node.str());
  if (found == commands_.end() || record == nullptr) {
    return;  // said before, or of an earlier controller
  }
  const OperationId operation = found->second;
  commands_.erase(found);
  const Principal who = Principal::Node(node, record->api.name);
  Change change(parts_.ledger, who, "node.command");
  const absl::Status status = result.error_code.empty()
                                  ? absl::OkStatus()
                                  : absl::FailedPreconditionError(StrCat(
                                        "node \"", record->api.name.str(), "\": ", result.error));
  parts_.operations.Finish(change, operation, status, result.result);
  const OperationRecord* of = parts_.ledger.state().operations().Find(operation.str());
  if (!status.ok() && of != nullptr && of->api.kind == kPowerOff) {
    TakeBackOff(change, *record, std::string(MessageOf(status)));
  }
  parts_.ledger.Commit(std::move(change), nullptr);
}

void LedgerSessions::TakeBackOff(Change& change, const NodeRecord& found, std::string why) {
  if (found.api.state != api::NodeState::kOff) {
    return;
  }
  NodeRecord node = found;
  node.api.state = api::NodeState::kReady;
  node.api.reason.clear();
  change.AddEvent("node.poweroff_failed", ReferenceTo(node), std::move(why));
  parts_.health.Watch(node);
  parts_.fleet.Put(change, std::move(node));
}

void LedgerSessions::OnReload() {
  // What was queued and not durable is lost with the failed transactions: start from all of it.
  reapply_ = true;
  parts_.network.ForgetAll();
  for (auto& [node, session] : sessions_) {
    session.synced = false;
  }
}

void LedgerSessions::Reapply(const NodeId& node) {
  const auto found = sessions_.find(node);
  const NodeRecord* record = parts_.ledger.state().nodes().Find(node.str());
  if (found == sessions_.end() || record == nullptr || !parts_.ledger.Writable().ok()) {
    return;
  }
  Session& session = found->second;
  const Principal who = Principal::Node(node, record->api.name);
  Change change(parts_.ledger, who, "node.report");
  for (const auto& [id, observed] : session.observed) {
    Observe(change, node, observed);
  }
  if (session.reported) {
    NoteMissing(change, node, session);
  }
  if (session.welcomed && !session.synced && !TakingStock()) {
    QueueFull(change, node, session);
  }
  parts_.ledger.Commit(std::move(change), nullptr);
}

void LedgerSessions::Tick() {
  if (!parts_.ledger.Writable().ok()) {
    return;
  }
  if (reapply_) {
    reapply_ = false;
    std::vector<NodeId> nodes;
    for (const auto& [node, session] : sessions_) {
      nodes.push_back(node);
    }
    for (const NodeId& node : nodes) {
      Reapply(node);
    }
  }
  if (parts_.network.Due()) {
    const Principal system = Principal::System();
    Change change(parts_.ledger, system, "network.tell");
    change.OmitAudit();
    parts_.ledger.Commit(std::move(change), nullptr);
  }
  const State& state = parts_.ledger.state();
  if (!state.cluster().adopting) {
    if (adopting_since_.has_value()) {  // a person ended it
      const Principal system = Principal::System();
      Change change(parts_.ledger, system, "cluster.adopted");
      EndStock(change);
      if (!change.empty()) {
        parts_.ledger.Commit(std::move(change), nullptr);
      }
    }
    return;
  }
  const BootTime now = parts_.ledger.clock().Boot();
  adopting_since_ = adopting_since_.value_or(now);
  bool all = true;
  for (const auto& [id, entry] : state.nodes().entries()) {
    const api::NodeState node = entry.record.api.state;
    const bool counts = node != api::NodeState::kPending && node != api::NodeState::kHeld &&
                        node != api::NodeState::kOff;
    all = all && (!counts || reported_.contains(entry.record.api.id));
  }
  if (!all && now < *adopting_since_ + parts_.health.timing().lost_after) {
    return;
  }
  const Principal system = Principal::System();
  Change change(parts_.ledger, system, "cluster.adopted");
  EndStock(change);
  ClusterRecord cluster = state.cluster();
  cluster.adopting = false;
  change.Put(std::move(cluster));
  change.AddEvent("cluster.adopted", {"cluster", state.cluster().id.str(), "", ""},
                  all ? "every node has reported" : "some nodes have not reported");
  parts_.ledger.Commit(std::move(change), nullptr);
}

void LedgerSessions::EndStock(Change& change) {
  TakeStock(change);
  for (auto& [node, session] : sessions_) {
    for (auto& [id, observed] : session.observed) {
      observed.definition.reset();
    }
  }
  adopting_since_.reset();
  reported_.clear();
  reapply_ = true;  // what was held back while stock was taken: orders, and what is missing
}

}  // namespace bramble::controller
