// SPDX-License-Identifier: Apache-2.0
#include "controller/coordinator_cluster.h"

#include "api/project.h"
#include "base/encoding.h"
#include "base/hash.h"
#include "base/status.h"
#include "controller/cluster_service.h"

namespace bramble::controller {
namespace {

constexpr int kSetupAttempts = 10;
constexpr size_t kSecretBytes = 32;
constexpr char kBearerPrefix[] = "brmu1.";  // so that secret scanners find it
constexpr size_t kMaxBearerBytes = 200;
constexpr size_t kMaxNameBytes = 63;
constexpr size_t kMaxNamedImages = 3;

// Four groups of four: easy to type, 80 random bits.
std::string NewSetupCode(Random& random) {
  const std::string text = RandomIdText(random);
  return StrCat(text.substr(0, 4), "-", text.substr(4, 4), "-", text.substr(8, 4), "-",
                text.substr(12, 4));
}

// The first few images that have a variant without bytes.
std::string MissingImages(const State& state) {
  std::string names;
  size_t count = 0;
  for (const auto& [id, entry] : state.images().entries()) {
    const api::Image& image = entry.record.api;
    for (const api::ImageVariant& variant : image.variants) {
      if (variant.missing && ++count <= kMaxNamedImages) {
        names = StrCat(names, names.empty() ? "" : ", ", image.name, ":", image.tag, " (",
                       variant.architecture, ")");
      }
    }
  }
  return count > kMaxNamedImages ? StrCat(names, ", …") : names;
}

}  // namespace

LedgerCluster::LedgerCluster(Ledger& ledger, NodeHealth& health, SignedClock& signed_clock,
                             Settings settings)
    : ledger_(ledger), health_(health), signed_clock_(signed_clock), settings_(settings) {}

void LedgerCluster::Start() {
  if (ledger_.state().cluster().initialised) {
    return;
  }
  setup_code_ = NewSetupCode(ledger_.random());
  setup_ends_ = ledger_.clock().Boot() + settings_.setup_code_valid;
  attempts_left_ = kSetupAttempts;
}

std::string LedgerCluster::SetupCode() const {
  const bool spent = ledger_.state().cluster().initialised || attempts_left_ == 0 ||
                     ledger_.clock().Boot() >= setup_ends_;
  return spent ? "" : setup_code_;
}

absl::Status LedgerCluster::CheckSetupCode(const std::string& code) {
  if (ledger_.state().cluster().initialised) {
    return absl::FailedPreconditionError(
        "this cluster was initialised before; use the credential that was given out then");
  }
  if (SetupCode().empty()) {
    return absl::PermissionDeniedError(
        "the set-up code ran out or was tried too often; restart the controller for a new one");
  }
  if (!EqualInConstantTime(code, setup_code_)) {
    --attempts_left_;
    return absl::PermissionDeniedError(
        StrCat("the set-up code is wrong; ", attempts_left_,
               " attempts are left; it is in the controller's log and state directory"));
  }
  return absl::OkStatus();
}

void LedgerCluster::Init(ClusterInit request, WriteDone done) {
  const Principal who = Principal::System();
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    BRAMBLE_RETURN_IF_ERROR(CheckSetupCode(request.setup_code));
    ClusterRecord cluster = ledger_.state().cluster();
    if (!request.name.empty()) {
      if (request.name.size() > kMaxNameBytes) {
        return absl::InvalidArgumentError(StrCat("name: at most ", kMaxNameBytes, " characters"));
      }
      BRAMBLE_RETURN_IF_ERROR(CheckName("cluster", request.name));
      cluster.name = request.name;
    }
    cluster.initialised = true;
    const std::string secret = Base64UrlEncode(ledger_.random().Bytes(kSecretBytes));
    const std::string token = StrCat(kBearerPrefix, secret);
    UserRecord user{.id = UserId::Trusted(RandomIdText(ledger_.random())),
                    .name = "admin",
                    .role = "admin",
                    .created_at = change.now()};
    CredentialRecord credential{.id = RandomIdText(ledger_.random()),
                                .user = user.id,
                                .secret_sha256 = Sha256(token).Hex(),
                                .label = "cluster init",
                                .created_at = change.now()};
    change.AddEvent("cluster.initialised", {"cluster", cluster.id.str(), cluster.name, ""}, "");
    change.Put(std::move(cluster));
    change.Put(std::move(user));
    change.Put(std::move(credential));
    const json::object answer = {{"user", "admin"}, {"token", token}};
    return Written{.object = std::make_shared<const std::string>(json::serialize(answer))};
  };
  ledger_.Write(who, "cluster.init", {}, std::move(done), apply);
}

absl::StatusOr<Principal> LedgerCluster::Authenticate(std::string_view bearer) const {
  constexpr char kRefused[] = "no valid token; `bramble cluster init` makes the first one";
  if (bearer.empty() || bearer.size() > kMaxBearerBytes) {
    return absl::UnauthenticatedError(kRefused);
  }
  // Found by the hash of what is presented: how long it takes says nothing about the secret.
  if (!EqualInConstantTime(bearer, bearer_)) {
    bearer_hash_ = Sha256(bearer).Hex();
    bearer_ = bearer;
  }
  const CredentialRecord* credential = ledger_.state().FindCredential(bearer_hash_);
  if (credential == nullptr) {
    return absl::UnauthenticatedError(kRefused);
  }
  if (credential->expires_at.has_value() && *credential->expires_at <= ledger_.clock().Wall()) {
    return absl::UnauthenticatedError("this token has expired");
  }
  const UserRecord* user = ledger_.state().users().Find(credential->user.str());
  if (user == nullptr) {
    return absl::UnauthenticatedError(kRefused);
  }
  Principal who{.kind = PrincipalKind::kUser, .id = user->id.str(), .name = user->name};
  who.role = user->role == "admin" ? Role::kAdmin : Role::kReader;
  who.projects = {ProjectName::Trusted(api::kDefaultProject)};
  return who;
}

api::Cluster LedgerCluster::Describe() const {
  const State& state = ledger_.state();
  const ClusterRecord& record = state.cluster();
  api::Cluster cluster{.id = record.id,
                       .name = record.name,
                       .version = BRAMBLE_VERSION,
                       .epoch = record.epoch,
                       .revision = ledger_.durable_revision(),
                       .prefix = record.prefix,
                       .initialised = record.initialised,
                       .moves_frozen_reason = health_.FrozenText(),
                       .adopting = record.adopting,
                       .certificate_sha256 = settings_.certificate_sha256};
  cluster.moves_frozen = !cluster.moves_frozen_reason.empty();
  for (const auto& [id, entry] : state.nodes().entries()) {
    ++cluster.nodes[std::string(api::kNodeStateNames[static_cast<size_t>(entry.record.api.state)])];
  }
  for (const auto& [id, entry] : state.containers().entries()) {
    ++cluster.containers[std::string(
        api::kContainerStateNames[static_cast<size_t>(entry.record.api.status.state)])];
  }
  if (record.adopting) {
    cluster.conditions.push_back(
        {"adopting", "warning",
         "after a restore or a roll-back the cluster takes stock: nothing is placed or moved until "
         "every node has reported"});
  }
  if (cluster.moves_frozen) {
    cluster.conditions.push_back({"moves-frozen", "warning", cluster.moves_frozen_reason});
  }
  if (const std::string missing = MissingImages(state); !missing.empty()) {
    cluster.conditions.push_back({"image-blob-missing", "warning",
                                  StrCat("image blob missing: ", missing,
                                         ": import it again by `bramble image import`; "
                                         "nodes that hold it run it, others cannot")});
  }
  if (const absl::Status last = ledger_.LastWrite(); !last.ok()) {
    cluster.conditions.push_back({"store-failed", "critical",
                                  StrCat("the last write failed, reads go on: ", MessageOf(last))});
  }
  return cluster;
}

absl::StatusOr<Rendered> LedgerCluster::Get(const Principal& who) {
  if (!May(who, Access::kRead, "") && who.role == Role::kNone) {
    return NotFound("cluster", ledger_.state().cluster().name);
  }
  return Rendered{std::make_shared<const std::string>(json::serialize(api::ToJson(Describe())))};
}

absl::StatusOr<Rendered> LedgerCluster::ListUsers(const Principal& who, const ListQuery& query) {
  if (!May(who, Access::kRead, "")) {
    return absl::PermissionDeniedError("only an administrator may list users");
  }
  BRAMBLE_RETURN_IF_ERROR(ParseFilter(query.filter, {"name"}, false).status());
  json::array items;
  for (const auto& [id, entry] : ledger_.state().users().entries()) {
    items.push_back({{"name", entry.record.name},
                     {"role", entry.record.role},
                     {"created_at", FormatTime(entry.record.created_at)}});
  }
  const json::object page = {{"items", std::move(items)}};
  return Rendered{std::make_shared<const std::string>(json::serialize(page))};
}

void LedgerCluster::NoteCertificate(ServerCertificateNote note) {
  settings_.certificate_sha256 = std::move(note.sha256);
  const Principal system = Principal::System();
  Change change(ledger_, system, "cluster.certificate_renewed");
  const ClusterRecord& cluster = ledger_.state().cluster();
  change.AddEvent(
      "cluster.certificate_renewed", {"cluster", cluster.id.str(), cluster.name, ""},
      StrCat("the server certificate is ", settings_.certificate_sha256, ": ", note.why));
  ledger_.Commit(std::move(change), nullptr);
}

void LedgerCluster::LeaveAdoption(const Principal& who, WriteOptions options, WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    if (!May(who, Access::kWrite, "")) {
      return absl::PermissionDeniedError("only an administrator may do this");
    }
    ClusterRecord cluster = ledger_.state().cluster();
    cluster.adopting = false;
    change.AddEvent("cluster.adopted", {"cluster", cluster.id.str(), cluster.name, ""}, "");
    change.Put(std::move(cluster));
    return Written{};
  };
  ledger_.Write(who, "cluster.adopted", options, std::move(done), apply);
}

void LedgerCluster::AllowMoves(const Principal& who, WriteOptions options, WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    if (!May(who, Access::kWrite, "")) {
      return absl::PermissionDeniedError("only an administrator may do this");
    }
    health_.AllowMoves();
    const ClusterRecord& cluster = ledger_.state().cluster();
    change.AddEvent("cluster.moves_allowed", {"cluster", cluster.id.str(), cluster.name, ""}, "");
    return Written{};
  };
  ledger_.Write(who, "cluster.moves_allowed", options, std::move(done), apply);
}

}  // namespace bramble::controller
