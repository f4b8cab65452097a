// SPDX-License-Identifier: Apache-2.0
// POST /v1/join and /v1/renew.

#include <algorithm>

#include "api/token.h"
#include "base/encoding.h"
#include "base/hash.h"
#include "base/status.h"
#include "controller/session_service.h"

#include "absl/strings/str_format.h"

namespace bramble::controller {
namespace {

constexpr size_t kMaxPendingNodes = 256;
constexpr size_t kMaxNodes = 10000;
constexpr int64_t kPendingRetryMs = 5000;

absl::Status Refused() {
  return absl::PermissionDeniedError(
      "the join token is refused: it is unknown or its secret is wrong; make another by "
      "`bramble token create`");
}

}  // namespace

absl::Status LedgerSessions::CheckToken(const api::JoinRequest& request, const PeerProof& proof,
                                        const std::string& key_sha256, JoinFacts& facts) {
  const TokenRecord* token = parts_.ledger.state().tokens().Find(request.token_id.str());
  if (token == nullptr) {
    return Refused();
  }
  BRAMBLE_ASSIGN_OR_RETURN(const std::string key, HexDecode(key_sha256));
  const std::string expected =
      Base64UrlEncode(HmacSha256(token->secret_sha256, StrCat(proof.exporter, key)).view());
  if (!EqualInConstantTime(expected, request.proof)) {
    return Refused();
  }
  const api::Token& shown = token->api;
  const std::string name = StrCat("join token ", shown.id.str());
  const NodeRecord* known = parts_.ledger.state().FindNodeByKey(key_sha256);
  if (shown.revoked) {
    return absl::PermissionDeniedError(StrCat(name, " was revoked"));
  }
  if (shown.expires_at <= parts_.ledger.clock().Wall()) {
    return absl::PermissionDeniedError(
        StrCat(name, " expired at ", FormatTime(shown.expires_at), "; make another"));
  }
  // The same node asking again (its answer was lost) spends nothing.
  const bool repeat = known != nullptr && known->token == shown.id;
  if (!repeat && shown.uses >= shown.max_uses) {
    return absl::PermissionDeniedError(
        StrCat(name, " was used ", shown.uses, " times, as often as it may be; make another"));
  }
  facts.token = shown.id;
  facts.pool = shown.pool;
  return absl::OkStatus();
}

absl::StatusOr<LedgerSessions::JoinFacts> LedgerSessions::CheckJoin(const api::JoinRequest& request,
                                                                    const PeerProof& proof) {
  JoinFacts facts;
  BRAMBLE_ASSIGN_OR_RETURN(facts.key_sha256, parts_.issuer.KeyOf(request.csr_pem));
  facts.pool = "default";
  if (!request.token_id.empty()) {
    BRAMBLE_RETURN_IF_ERROR(CheckToken(request, proof, facts.key_sha256, facts));
  }
  const State& state = parts_.ledger.state();
  if (state.FindNodeByKey(facts.key_sha256) == nullptr) {
    const auto& entries = state.nodes().entries();
    const auto pending = std::count_if(entries.begin(), entries.end(), [](const auto& entry) {
      return entry.second.record.api.state == api::NodeState::kPending;
    });
    if (state.nodes().size() >= kMaxNodes ||
        (facts.token.empty() && static_cast<size_t>(pending) >= kMaxPendingNodes)) {
      return absl::ResourceExhaustedError(
          "too many nodes ask to join; approve or remove some, or use a join token");
    }
  }
  return facts;
}

NodeName LedgerSessions::FreeName(const std::string& hostname) const {
  std::string name;
  for (const char c : hostname.substr(0, hostname.find('.'))) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const bool letter = lower >= 'a' && lower <= 'z';
    if (letter || (!name.empty() && (lower == '-' || (lower >= '0' && lower <= '9')))) {
      name += lower;
    }
  }
  name = name.substr(0, 50);
  while (!name.empty() && name.back() == '-') {
    name.pop_back();
  }
  const std::string base = name.empty() ? "node" : name;
  name = base;
  for (int n = 2; parts_.ledger.state().FindNode(name) != nullptr; ++n) {
    name = StrCat(base, "-", n);
  }
  return NodeName::Trusted(name);
}

std::string LedgerSessions::CodeOf(const std::string& key_sha256) const {
  const std::string key = HexDecode(key_sha256).value_or("");
  const Sha256Digest digest = Sha256(StrCat(parts_.issuer.ServerKeySha256(), key));
  uint64_t number = 0;
  for (int i = 0; i < 8; ++i) {
    number = number << 8 | digest.bytes[static_cast<size_t>(i)];
  }
  return absl::StrFormat("%06d", number % 1'000'000);
}

NodeRecord LedgerSessions::NewNode(const api::JoinRequest& request, const JoinFacts& facts) {
  NodeRecord record;
  record.api.id = NodeId::Trusted(RandomIdText(parts_.ledger.random()));
  record.api.name = FreeName(request.hostname);
  record.api.pool = facts.pool;
  record.api.labels = request.labels;
  record.declared_labels = request.labels;
  record.api.inventory = request.inventory;
  record.api.address = parts_.fleet.NodeAddress(record.api.id.str(), request.address);
  record.api.joined_at = parts_.ledger.clock().Wall();
  record.key_sha256 = facts.key_sha256;
  record.api.code = CodeOf(facts.key_sha256);
  record.api.state = api::NodeState::kPending;
  record.api.reason = StrCat("compare its code with the node's, then `bramble node approve ",
                             record.api.name.str(), " --code ", record.api.code, "`");
  return record;
}

absl::StatusOr<api::JoinReply> LedgerSessions::Certify(const NodeRecord& record,
                                                       const std::string& csr_pem) {
  const ClusterRecord& cluster = parts_.ledger.state().cluster();
  api::JoinReply reply{.node_id = record.api.id,
                       .name = record.api.name,
                       .cluster_id = cluster.id,
                       .ca_pem = parts_.issuer.CaPem(),
                       .address = record.api.address.empty()
                                      ? ""
                                      : parts_.fleet.plan().WithLength(record.api.address),
                       .signed_time_ms = parts_.signed_clock.Now()};
  if (record.api.state == api::NodeState::kPending) {
    reply.pending = true;
    reply.code = record.api.code;
    reply.retry_ms = kPendingRetryMs;
    return reply;
  }
  BRAMBLE_ASSIGN_OR_RETURN(const CertificateIssuer::Issued issued,
                           parts_.issuer.IssueNode(csr_pem, cluster.id, record.api.id));
  reply.certificate_pem = issued.certificate_pem;
  return reply;
}

void LedgerSessions::OnJoin(api::JoinRequest request, PeerProof proof, JoinDone done) {
  if (absl::Status writable = parts_.ledger.Writable(); !writable.ok()) {
    done(writable);
    return;
  }
  const absl::StatusOr<JoinFacts> facts = CheckJoin(request, proof);
  if (!facts.ok()) {
    done(facts.status());
    return;
  }
  const NodeRecord* known = parts_.ledger.state().FindNodeByKey(facts->key_sha256);
  NodeRecord record = known == nullptr ? NewNode(request, *facts) : *known;
  const bool admitted = record.api.state == api::NodeState::kPending && !facts->token.empty();
  if (known != nullptr && !admitted) {
    if (known->api.state == api::NodeState::kPending) {
      parts_.ledger.EditNode(known->api.id.str())->api.last_seen_at = parts_.ledger.clock().Wall();
    }
    done(Certify(record, request.csr_pem));  // asked again: nothing changes
    return;
  }
  const Principal who{.kind = PrincipalKind::kToken,
                      .id = facts->token.str(),
                      .name = facts->token.empty() ? "none" : facts->token.str()};
  Change change(parts_.ledger, who, "node.join");
  if (admitted) {
    record.token = facts->token;
    record.api.code.clear();
    record.api.state = api::NodeState::kSuspect;
    record.api.reason = "has joined and not connected yet";
    TokenRecord token = *parts_.ledger.state().tokens().Find(facts->token.str());
    ++token.api.uses;
    ++token.api.generation;
    change.Put(std::move(token));
  }
  absl::StatusOr<api::JoinReply> reply = Certify(record, request.csr_pem);
  if (!reply.ok()) {
    done(reply.status());
    if (!change.empty()) {
      parts_.ledger.Commit(std::move(change), nullptr);
    }
    return;
  }
  change.AddEvent(admitted ? "node.joined" : "node.asks_to_join", ReferenceTo(record),
                  StrCat("from ", proof.peer_address));
  const NodeRecord watched = record;
  parts_.fleet.Put(change, std::move(record));
  if (admitted) {
    parts_.health.Watch(watched);
  }
  parts_.ledger.Commit(std::move(change),
                       [done = std::move(done), reply = *std::move(reply)](absl::Status status) {
                         done(status.ok() ? absl::StatusOr<api::JoinReply>(reply) : status);
                       });
}

void LedgerSessions::OnRenew(api::JoinRequest request, PeerProof proof, JoinDone done) {
  const NodeRecord* record = parts_.ledger.state().nodes().Find(proof.certificate_node.str());
  const absl::StatusOr<std::string> key = parts_.issuer.KeyOf(request.csr_pem);
  if (record == nullptr || proof.certificate_key_sha256.empty() ||
      record->key_sha256 != proof.certificate_key_sha256 ||
      record->api.state == api::NodeState::kPending) {
    done(absl::PermissionDeniedError(
        "the certificate presented is of no node of this cluster; the node has to join again"));
    return;
  }
  if (!key.ok() || *key != record->key_sha256) {
    done(key.ok() ? absl::PermissionDeniedError(
                        "the request is for another key than the certificate presented")
                  : key.status());
    return;
  }
  done(Certify(*record, request.csr_pem));
}

}  // namespace bramble::controller
