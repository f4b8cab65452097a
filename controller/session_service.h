// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>

#include "controller/coordinator_sessions.h"
#include "controller/fleet.h"
#include "controller/network_feed.h"
#include "controller/node_health.h"
#include "controller/operation_tracker.h"
#include "controller/signed_clock.h"

namespace bramble::controller {

// The nodes' side.  After a node's Hello was stored it is sent Welcome and its full desired state,
// then every change as it becomes durable.  Where the controller may know less than the node (after
// a restore or a roll-back) the node's full report is read first.
class LedgerSessions : public NodeSessions {
 public:
  struct Parts {
    Ledger& ledger;
    Fleet& fleet;
    OperationTracker& operations;
    NodeHealth& health;
    NodeLinks& links;
    CertificateIssuer& issuer;
    SignedClock& signed_clock;
    NetworkFeed& network;
  };
  explicit LedgerSessions(Parts parts) : parts_(parts) {}

  void OnJoin(api::JoinRequest request, PeerProof proof, JoinDone done) override;
  void OnRenew(api::JoinRequest request, PeerProof proof, JoinDone done) override;
  void OnConnected(LinkId link, const NodeId& node, std::string peer_address) override;
  void OnMessage(LinkId link, api::NodeMessage message) override;
  void OnDisconnected(LinkId link) override;
  absl::Status Send(const NodeId& node, const api::ControllerMessage& message) override;
  bool MayFetchBlob(const NodeId& node, std::string_view digest) const override;
  absl::StatusOr<std::string> ContextFor(const NodeId& node, std::string_view id) const override;

  bool Connected(const NodeId& node) const;
  // Whether `node` says, having applied the last order for `container`, that it does not run.  A
  // report from before that order may be of a container that is about to be started again.
  bool ConfirmedStopped(const NodeId& node, const ContainerId& container) const;
  // What `node` says of a container that moves with its files; all false while it is silent.
  MoveNodeFacts MoveFactsOf(const NodeId& node, const ContainerRecord& container) const;
  // What a connected node says of its network; nullptr: not connected, or it says nothing.
  const api::NetworkReport* NetworkOf(const NodeId& node) const;
  // Ends the node's session: it was removed, held or given another identity.
  void Close(const NodeId& node, std::string reason);
  // Before each commit: what nodes have to be told of it goes out once it is durable.
  void OnCommit(Change& change);
  // The model was read again: what nodes reported since is put into it once more.
  void OnReload();
  void Reapply(const NodeId& node);
  // Ends the adoption when every node has reported, or had time to.
  void Tick();
  // What waits for a CommandResult.
  void ExpectResult(const std::string& command_id, const OperationId& operation);

 private:
  struct Session {
    LinkId link = 0;
    std::string boot_id;
    bool welcomed = false;              // its Hello was accepted
    bool reported = false;              // its full report was read
    bool synced = false;                // the full desired state is on its way, or was sent
    std::optional<BootTime> off_since;  // heard though it was ordered off: since when
    api::Version queued;                // the desired state that was last queued for it
    api::Version applied;               // what it had applied when it sent its last report
    std::map<ContainerId, api::ObservedContainer> observed;
    std::optional<api::NetworkReport> network;
  };
  enum class Identity { kSame, kClone, kDoubtful };

  Session* FindSession(LinkId link, NodeId* node);
  void OnHello(const NodeId& node, Session& session, const api::Hello& hello);
  void OnHeartbeat(const NodeId& node, Session& session, const api::Heartbeat& heartbeat);
  void OnReport(const NodeId& node, Session& session, api::Report report);
  void OnCommandResult(const NodeId& node, const api::CommandResult& result);
  void OnResync(const NodeId& node, Session& session);
  // False: the session is over.
  bool Admit(const NodeRecord& record, Session& session, const api::Hello& hello);
  Identity Compare(const NodeRecord& record, const Session& session, const api::Hello& hello) const;
  void Hold(const NodeRecord& record, const std::string& reason);
  bool AdmitHeld(const NodeRecord& record, Session& session, const api::Hello& hello);
  void SendHeldAndEnd(LinkId link, api::Held held);
  void OpenEpoch(Change& change, uint64_t epoch, std::string why, const NodeId& by);
  void QueueWelcome(Change& change, const NodeRecord& record, LinkId link);
  void QueueFull(Change& change, const NodeId& node, Session& session);
  void QueueMessage(Change& change, LinkId link, const api::ControllerMessage& message);
  void QueueText(Change& change, LinkId link, SharedText text);
  void QueueNews(Change& change, LinkId link, const NetworkFeed::News& news);
  // Events for what is new in `report`.
  void NoteNetwork(Change& change, const NodeRecord& node, Session& session,
                   const api::NetworkReport& report);
  void Observe(Change& change, const NodeId& node, const api::ObservedContainer& observed);
  void Adopt(Change& change, const NodeRecord& node, const api::ObservedContainer& observed);
  // From the beginning of an adoption until what was found has been looked at.
  bool TakingStock() const {
    return parts_.ledger.state().cluster().adopting || adopting_since_.has_value();
  }
  void EndStock(Change& change);
  // At the end of the adoption: containers that were found on other nodes than the restored state
  // has them on.
  void TakeStock(Change& change);
  // Of a container that the restored state has on its way between two nodes, and both name.
  void TakeStockOfMove(Change& change, const ContainerRecord& found);
  // `holder` has a copy of it beside the one that is recorded: both are left alone.
  void NoteDuplicate(Change& change, const ContainerRecord& found, const NodeRecord& holder,
                     const api::ObservedContainer& observed, bool recorded_one_is_seen);
  void FollowFound(Change& change, const NodeRecord& node, const ContainerRecord& found,
                   const api::ObservedContainer& observed);
  void NoteMissing(Change& change, const NodeId& node, const Session& session);
  void OnRemoved(Change& change, const NodeId& node, const ContainerId& id, api::Version applied);
  // A node that was to be off and is not: it counts and is watched again.
  void TakeBackOff(Change& change, const NodeRecord& node, std::string why);
  NodeRecord UpdateFrom(const NodeRecord& record, const api::Hello& hello);

  struct JoinFacts {
    std::string key_sha256;
    std::string pool;
    TokenId token;
  };
  absl::StatusOr<JoinFacts> CheckJoin(const api::JoinRequest& request, const PeerProof& proof);
  absl::Status CheckToken(const api::JoinRequest& request, const PeerProof& proof,
                          const std::string& key_sha256, JoinFacts& facts);
  NodeRecord NewNode(const api::JoinRequest& request, const JoinFacts& facts);
  NodeName FreeName(const std::string& hostname) const;
  std::string CodeOf(const std::string& key_sha256) const;
  absl::StatusOr<api::JoinReply> Certify(const NodeRecord& record, const std::string& csr_pem);

  Parts parts_;
  std::map<NodeId, Session> sessions_;
  std::map<LinkId, NodeId> links_;
  std::map<std::string, OperationId> commands_;
  std::set<NodeId> reported_;        // since the adoption began
  std::set<NodeId> epochs_refused_;  // said once per node and start of the controller
  std::optional<BootTime> adopting_since_;
  bool reapply_ = false;
};

}  // namespace bramble::controller
