// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "controller/coordinator_containers.h"
#include "controller/fleet.h"
#include "controller/listing.h"
#include "controller/operation_tracker.h"

namespace bramble::controller {

class LedgerContainers : public ContainerService {
 public:
  // `connected`: whether a node can be reached now.
  using Connected = std::function<bool(const NodeId&)>;
  LedgerContainers(Ledger& ledger, Fleet& fleet, OperationTracker& operations, Connected connected);

  absl::StatusOr<Rendered> Get(const Principal& who, const ContainerKey& key) override;
  absl::StatusOr<Rendered> List(const Principal& who, const ListQuery& query) override;
  void Create(const Principal& who, CreateContainer request, WriteOptions options,
              WriteDone done) override;
  void Update(const Principal& who, const ContainerKey& key, json::value patch,
              WriteOptions options, WriteDone done) override;
  void Act(const Principal& who, const ContainerKey& key, ContainerVerb verb, WriteOptions options,
           WriteDone done) override;
  void Delete(const Principal& who, const ContainerKey& key, WriteOptions options,
              WriteDone done) override;
  absl::StatusOr<Rendered> Plan(const Principal& who, const CreateContainer& request) override;
  absl::StatusOr<StreamTarget> FindStreamTarget(const Principal& who,
                                                const ContainerKey& key) override;

  // Deletes on somebody's behalf: also what a cancelled creation left.
  Written DeleteRecord(Change& change, const ContainerRecord& record);

 private:
  absl::StatusOr<const ContainerRecord*> Find(const Principal& who, Access access,
                                              const ContainerKey& key) const;
  absl::StatusOr<const ContainerRecord*> FindForWrite(const Principal& who, const ContainerKey& key,
                                                      const WriteOptions& options) const;
  absl::StatusOr<ContainerRecord> Prepare(const Principal& who,
                                          const CreateContainer& request) const;
  // Its keys found and checked, and the answer's summary put into `record`.
  absl::StatusOr<api::Context> ResolveContext(const CreateContainer& request,
                                              ContainerRecord& record) const;
  Written PutWithOperation(Change& change, ContainerRecord record, std::string kind);
  void GiveFloatingIp(Change& change, const ContainerId& id);
  void NoteImageUse(Change& change, const ContainerRecord& record);
  Written Answer(const ContainerId& id, const OperationId& operation) const;

  Ledger& ledger_;
  Fleet& fleet_;
  OperationTracker& operations_;
  Connected connected_;
  ListCache<ContainerRecord> list_;
};

}  // namespace bramble::controller
