// SPDX-License-Identifier: Apache-2.0
#include "controller/coordinator_tokens.h"

#include "base/hash.h"
#include "base/status.h"
#include "controller/catalog_services.h"

namespace bramble::controller {
namespace {

constexpr size_t kMaxTokens = 10000;

Listing<TokenRecord> TokenListing() {
  return {.keys = {"id", "pool", "revoked"},
          .field = [](const TokenRecord& record, std::string_view key) -> std::string {
            return key == "id"          ? record.api.id.str()
                   : key == "pool"      ? record.api.pool
                   : record.api.revoked ? "true"
                                        : "false";
          },
          .order = [](const TokenRecord& record) { return record.api.id.str(); }};
}

}  // namespace

LedgerTokens::LedgerTokens(Ledger& ledger, const CertificateIssuer& issuer,
                           std::vector<std::string> addresses)
    : ledger_(ledger), issuer_(issuer), addresses_(std::move(addresses)), list_(TokenListing()) {}

absl::StatusOr<Rendered> LedgerTokens::Get(const Principal& who, const std::string& id) {
  const TokenRecord* record = ledger_.state().tokens().Find(id);
  if (record == nullptr || !May(who, Access::kRead, "")) {
    return NotFound("token", id);
  }
  return Rendered{ledger_.Body(ledger_.state().tokens(), id), record->api.generation};
}

absl::StatusOr<Rendered> LedgerTokens::List(const Principal& who, const ListQuery& query) {
  return list_.Page(ledger_, ledger_.state().tokens(), who, query);
}

void LedgerTokens::Create(const Principal& who, CreateToken request, WriteOptions options,
                          WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    if (!May(who, Access::kWrite, "")) {
      return absl::PermissionDeniedError("only an administrator may create join tokens");
    }
    if (request.valid.count() < 1 || request.valid > kMaxTokenValid) {
      return absl::InvalidArgumentError(
          StrCat("expires_s: between 1 and ", kMaxTokenValid.count()));
    }
    if (request.max_uses < 1 || request.max_uses > kMaxTokenUses) {
      return absl::InvalidArgumentError(StrCat("max_uses: between 1 and ", kMaxTokenUses));
    }
    BRAMBLE_RETURN_IF_ERROR(CheckName("pool", request.pool));
    if (ledger_.state().tokens().size() >= kMaxTokens) {
      return absl::ResourceExhaustedError("too many join tokens; revoke some");
    }
    const std::string secret = ledger_.random().Bytes(api::kJoinSecretBytes);
    TokenRecord record;
    record.api = {.id = TokenId::Trusted(RandomIdText(ledger_.random())),
                  .created_at = change.now(),
                  .expires_at = change.now() + request.valid,
                  .max_uses = request.max_uses,
                  .pool = request.pool};
    record.secret_sha256 = std::string(Sha256(secret).view());
    const std::string id = record.api.id.str();
    const std::string text =
        api::FormatJoinToken({.controller_key_sha256 = issuer_.ServerKeySha256(),
                              .id = record.api.id,
                              .secret = secret,
                              .addresses = addresses_});
    change.AddEvent("token.created", ReferenceTo(record), "");
    change.Put(std::move(record));
    return Written{.object = std::make_shared<const std::string>(
                       StrCat("{\"token\":", *ledger_.Body(ledger_.state().tokens(), id),
                              ",\"join_token\":\"", text, "\"}")),
                   .generation = 1};
  };
  ledger_.Write(who, "token.create", options, std::move(done), apply);
}

void LedgerTokens::Revoke(const Principal& who, const std::string& id, WriteOptions options,
                          WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    const TokenRecord* found = ledger_.state().tokens().Find(id);
    if (found == nullptr || !May(who, Access::kWrite, "")) {
      return NotFound("token", id);
    }
    BRAMBLE_RETURN_IF_ERROR(CheckIfMatch(options, found->api.generation, "token", id));
    TokenRecord record = *found;
    record.api.revoked = true;
    const uint64_t generation = ++record.api.generation;
    change.AddEvent("token.revoked", ReferenceTo(record), "");
    change.Put(std::move(record));
    return Written{.object = ledger_.Body(ledger_.state().tokens(), id), .generation = generation};
  };
  ledger_.Write(who, "token.revoke", options, std::move(done), apply);
}

}  // namespace bramble::controller
