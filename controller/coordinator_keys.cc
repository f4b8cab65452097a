// SPDX-License-Identifier: Apache-2.0
#include "controller/coordinator_keys.h"

#include "api/public_key.h"
#include "base/encoding.h"
#include "base/hash.h"
#include "base/status.h"
#include "controller/catalog_services.h"

namespace bramble::controller {
namespace {

Listing<KeyRecord> KeyListing() {
  return {.keys = {"name", "project", "type", "fingerprint"},
          .field = [](const KeyRecord& record, std::string_view key) -> std::string {
            if (key == "name") return record.api.name;
            if (key == "project") return record.api.project.str();
            return key == "type" ? record.api.type : record.api.fingerprint;
          },
          .project = [](const KeyRecord& record) { return record.api.project.str(); },
          .order = [](const KeyRecord& record) { return record.Id(); }};
}

// "SHA256:…" as ssh-keygen -l has it: base64 without padding (OpenSSH, sshkey_fingerprint).
std::string FingerprintOf(const api::PublicKey& key) {
  std::string text = Base64Encode(Sha256(key.blob).view());
  while (text.ends_with('=')) {
    text.pop_back();
  }
  return StrCat("SHA256:", text);
}

}  // namespace

LedgerKeys::LedgerKeys(Ledger& ledger) : ledger_(ledger), list_(KeyListing()) {}

absl::StatusOr<const KeyRecord*> LedgerKeys::Find(const Principal& who, Access access,
                                                  const ProjectKey& key) const {
  const KeyRecord* record = ledger_.state().keys().Find(StrCat(key.project, "/", key.name));
  if (record == nullptr || !May(who, access, key.project)) {
    return NotFound("key", key.name);
  }
  return record;
}

absl::StatusOr<Rendered> LedgerKeys::Get(const Principal& who, const ProjectKey& key) {
  BRAMBLE_ASSIGN_OR_RETURN(const KeyRecord* record, Find(who, Access::kRead, key));
  return Rendered{ledger_.Body(ledger_.state().keys(), record->Id()), record->api.generation};
}

absl::StatusOr<Rendered> LedgerKeys::List(const Principal& who, const ListQuery& query) {
  return list_.Page(ledger_, ledger_.state().keys(), who, query);
}

void LedgerKeys::Add(const Principal& who, AddKey request, WriteOptions options, WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    const State& state = ledger_.state();
    if (state.projects().Find(request.project) == nullptr ||
        !May(who, Access::kWrite, request.project)) {
      return NotFound("project", request.project);
    }
    BRAMBLE_RETURN_IF_ERROR(CheckName("key", request.name));
    const absl::StatusOr<api::PublicKey> parsed = api::ParsePublicKey(request.public_key);
    if (!parsed.ok()) {
      return Annotate(parsed.status(), StrCat("key \"", request.name, "\""));
    }
    KeyRecord record;
    record.api.name = request.name;
    record.api.project = ProjectName::Trusted(request.project);
    record.api.created_at = change.now();
    record.api.type = parsed->type;
    record.api.bits = parsed->bits;
    record.api.fingerprint = FingerprintOf(*parsed);
    record.api.comment = parsed->comment;
    record.api.public_key = parsed->str();
    const std::string id = record.Id();
    if (state.keys().Find(id) != nullptr) {
      return absl::AlreadyExistsError(
          StrCat("key \"", request.name, "\": exists already; choose another name, or delete it"));
    }
    if (state.keys().size() >= api::kMaxKeys) {
      return absl::ResourceExhaustedError(StrCat("there are ", api::kMaxKeys, " keys already"));
    }
    change.AddEvent("key.added", ReferenceTo(record), record.api.fingerprint);
    change.Put(std::move(record));
    return Written{.object = ledger_.Body(state.keys(), id), .generation = 1};
  };
  ledger_.Write(who, "key.add", options, std::move(done), apply);
}

void LedgerKeys::Delete(const Principal& who, const ProjectKey& key, WriteOptions options,
                        WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    BRAMBLE_ASSIGN_OR_RETURN(const KeyRecord* record, Find(who, Access::kWrite, key));
    BRAMBLE_RETURN_IF_ERROR(CheckIfMatch(options, record->api.generation, "key", key.name));
    const std::string id = record->Id();
    change.AddEvent("key.deleted", ReferenceTo(*record), record->api.fingerprint);
    change.Erase(RowKind::kKey, id);
    return Written{};
  };
  ledger_.Write(who, "key.delete", options, std::move(done), apply);
}

}  // namespace bramble::controller
