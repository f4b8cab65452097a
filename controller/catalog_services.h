// SPDX-License-Identifier: Apache-2.0
#pragma once

// Images, flavors, ssh keys, join tokens, operations and events: the subjects that need little more
// than the ledger.

#include <set>

#include "controller/container_service.h"
#include "controller/coordinator_events.h"
#include "controller/coordinator_flavors.h"
#include "controller/coordinator_images.h"
#include "controller/coordinator_keys.h"
#include "controller/coordinator_operations.h"
#include "controller/coordinator_tokens.h"
#include "controller/listing.h"
#include "controller/operation_tracker.h"
#include "controller/seams.h"

namespace bramble::controller {

class LedgerImages : public ImageService {
 public:
  // `project_quota`: of the images of one project; 0: none.
  LedgerImages(Ledger& ledger, Bytes project_quota);
  absl::StatusOr<Rendered> Get(const Principal& who, const std::string& key) override;
  absl::StatusOr<Rendered> List(const Principal& who, const ListQuery& query) override;
  void Add(const Principal& who, AddVariant request, WriteOptions options, WriteDone done) override;
  void Tag(const Principal& who, const std::string& key, std::string reference,
           WriteOptions options, WriteDone done) override;
  void Delete(const Principal& who, const std::string& key, WriteOptions options,
              WriteDone done) override;
  void Update(const Principal& who, const std::string& key, ImagePatch patch, WriteOptions options,
              WriteDone done) override;
  void Prune(const Principal& who, ImagePrune prune, WriteOptions options, WriteDone done) override;
  absl::Status CheckNamed(const Principal& who, const std::string& key,
                          const std::string& digest) const override;
  std::string Largest() const override;
  std::set<std::string> UsedDigests() const override;
  void NoteBlobs(const std::function<bool(const std::string&)>& has) override;

 private:
  absl::StatusOr<const ImageRecord*> Find(const Principal& who, Access access,
                                          const std::string& key) const;
  Written Put(Change& change, ImageRecord record, std::string_view event);
  void FoundAgain(Change& change, const std::string& digest);
  absl::Status CheckRoom(const AddVariant& request) const;
  absl::StatusOr<std::vector<std::string>> CheckAliases(const ImageRecord& record,
                                                        std::vector<std::string> aliases) const;
  std::set<const ImageRecord*> InUse() const;
  std::string LargestOf(const std::string& project) const;  // empty: of all

  Ledger& ledger_;
  const Bytes project_quota_;
  ListCache<ImageRecord> list_;
};

class LedgerFlavors : public FlavorService {
 public:
  explicit LedgerFlavors(Ledger& ledger);
  absl::StatusOr<Rendered> Get(const Principal& who, const std::string& name) override;
  absl::StatusOr<Rendered> List(const Principal& who, const ListQuery& query) override;
  void Create(const Principal& who, api::Flavor flavor, WriteOptions options,
              WriteDone done) override;
  void Delete(const Principal& who, const std::string& name, WriteOptions options,
              WriteDone done) override;

 private:
  Ledger& ledger_;
  ListCache<FlavorRecord> list_;
};

class LedgerKeys : public KeyService {
 public:
  explicit LedgerKeys(Ledger& ledger);
  absl::StatusOr<Rendered> Get(const Principal& who, const ProjectKey& key) override;
  absl::StatusOr<Rendered> List(const Principal& who, const ListQuery& query) override;
  void Add(const Principal& who, AddKey request, WriteOptions options, WriteDone done) override;
  void Delete(const Principal& who, const ProjectKey& key, WriteOptions options,
              WriteDone done) override;

 private:
  absl::StatusOr<const KeyRecord*> Find(const Principal& who, Access access,
                                        const ProjectKey& key) const;

  Ledger& ledger_;
  ListCache<KeyRecord> list_;
};

class LedgerTokens : public TokenService {
 public:
  LedgerTokens(Ledger& ledger, const CertificateIssuer& issuer, std::vector<std::string> addresses);
  absl::StatusOr<Rendered> Get(const Principal& who, const std::string& id) override;
  absl::StatusOr<Rendered> List(const Principal& who, const ListQuery& query) override;
  void Create(const Principal& who, CreateToken request, WriteOptions options,
              WriteDone done) override;
  void Revoke(const Principal& who, const std::string& id, WriteOptions options,
              WriteDone done) override;

 private:
  Ledger& ledger_;
  const CertificateIssuer& issuer_;
  const std::vector<std::string> addresses_;
  ListCache<TokenRecord> list_;
};

class LedgerOperations : public OperationService {
 public:
  LedgerOperations(Ledger& ledger, OperationTracker& tracker, LedgerContainers& containers,
                   Fleet& fleet);
  absl::StatusOr<Rendered> Get(const Principal& who, const std::string& id) override;
  absl::StatusOr<Rendered> List(const Principal& who, const ListQuery& query) override;
  void Cancel(const Principal& who, const std::string& id, WriteOptions options,
              WriteDone done) override;

 private:
  void TakeBack(Change& change, const OperationRecord& record);

  Ledger& ledger_;
  OperationTracker& tracker_;
  LedgerContainers& containers_;
  Fleet& fleet_;
  ListCache<OperationRecord> list_;
};

class LedgerEvents : public EventService {
 public:
  explicit LedgerEvents(Ledger& ledger);
  absl::StatusOr<std::vector<Seen>> Since(const Principal& who, uint64_t revision,
                                          size_t limit) override;
  uint64_t Newest() const override;
  std::unique_ptr<Subscription> Subscribe(std::function<void()> wake) override;

 private:
  class Live;
  using Wakes = std::map<uint64_t, std::function<void()>>;

  Ledger& ledger_;
  std::shared_ptr<Wakes> wakes_ = std::make_shared<Wakes>();
  uint64_t next_ = 0;
};

}  // namespace bramble::controller
