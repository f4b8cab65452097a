// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "controller/coordinator_nodes.h"
#include "controller/fleet.h"
#include "controller/listing.h"
#include "controller/mover.h"
#include "controller/node_health.h"
#include "controller/operation_tracker.h"
#include "controller/session_service.h"

namespace bramble::controller {

class LedgerNodes : public NodeService {
 public:
  struct Parts {
    Ledger& ledger;
    Fleet& fleet;
    OperationTracker& operations;
    NodeHealth& health;
    LedgerSessions& sessions;
    SignedClock& signed_clock;
    Mover& mover;
  };
  explicit LedgerNodes(Parts parts);

  absl::StatusOr<Rendered> Get(const Principal& who, const std::string& key) override;
  absl::StatusOr<Rendered> List(const Principal& who, const ListQuery& query) override;
  void Approve(const Principal& who, const std::string& key, std::string code, WriteOptions options,
               WriteDone done) override;
  void Update(const Principal& who, const std::string& key, json::value patch, WriteOptions options,
              WriteDone done) override;
  void Drain(const Principal& who, const std::string& key, DrainRequest request,
             WriteOptions options, WriteDone done) override;
  void Restore(const Principal& who, const std::string& key, WriteOptions options,
               WriteDone done) override;
  void Remove(const Principal& who, const std::string& key, bool force, WriteOptions options,
              WriteDone done) override;
  void Reset(const Principal& who, const std::string& key, WriteOptions options,
             WriteDone done) override;
  void Replace(const Principal& who, const std::string& key, std::string by, WriteOptions options,
               WriteDone done) override;
  void Command(const Principal& who, const std::string& key, std::string verb,
               json::value arguments, WriteOptions options, WriteDone done) override;

 private:
  using ApplyToNode = std::function<absl::StatusOr<Written>(Change&, const NodeRecord&)>;
  // Finds, checks If-Match, and writes what `apply` makes of it.
  void Write(const Principal& who, std::string_view action, const std::string& key,
             const WriteOptions& options, WriteDone done, const ApplyToNode& apply);
  absl::StatusOr<const NodeRecord*> Find(const Principal& who, Access access,
                                         const std::string& key) const;
  Written Put(Change& change, NodeRecord record, const OperationId& operation = {});
  // An operation that is over as it begins.
  OperationId Done(Change& change, std::string kind, const api::ObjectReference& object);
  void ForgetFailedMoves(Change& change, const NodeId& node);
  void GiveUpContainers(Change& change, const NodeRecord& node);

  Parts parts_;
  ListCache<NodeRecord> list_;
};

}  // namespace bramble::controller
