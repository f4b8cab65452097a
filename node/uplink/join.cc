// SPDX-License-Identifier: Apache-2.0
// How a node becomes one of a cluster: join, approval, renewal (DESIGN.md, section 6).
#include <algorithm>

#include "api/problem.h"
#include "api/token.h"
#include "base/encoding.h"
#include "base/http_client.h"
#include "base/status.h"
#include "node/uplink/uplink.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxReplyBytes = 256 * 1024;
constexpr std::chrono::milliseconds kDialLimit{10'000};
constexpr std::chrono::milliseconds kReplyLimit{40'000};
constexpr std::chrono::milliseconds kMinPendingRetry{1'000};
constexpr std::chrono::milliseconds kMaxPendingRetry{60'000};
constexpr size_t kMaxControllers = 16;

absl::StatusOr<HttpClientOptions> OptionsFor(HostPort target, TlsClientOptions tls) {
  HttpClientOptions http{.target = std::move(target),
                         .tls = nullptr,
                         .connect_limit = kDialLimit,
                         .reply_limit = kReplyLimit,
                         .max_body_bytes = kMaxReplyBytes};
  BRAMBLE_ASSIGN_OR_RETURN(http.tls, TlsClientContext::Make(std::move(tls)));
  return http;
}

// POSTs `request` on the connection that `client` has; a refusal is its problem's status.
asio::awaitable<absl::StatusOr<api::JoinReply>> Post(HttpClient& client, std::string path,
                                                     api::JoinRequest request) {
  HttpRequest post;
  post.method = "POST";
  post.target = std::move(path);
  post.body = json::serialize(api::ToJson(request));
  absl::StatusOr<HttpReply> reply = co_await client.Send(std::move(post));
  if (!reply.ok()) {
    co_return reply.status();
  }
  absl::StatusOr<json::value> value = ParseJson(reply->body, kMaxReplyBytes);
  if (reply->status != 200) {
    if (value.ok()) {
      if (absl::StatusOr<api::Problem> problem = api::ProblemFromJson(*value); problem.ok()) {
        co_return api::StatusOf(*problem);
      }
    }
    co_return absl::UnavailableError(StrCat("the controller answered ", reply->status));
  }
  if (!value.ok()) {
    co_return value.status();
  }
  co_return api::JoinReplyFromJson(*value);
}

// The code that a person compares with the controller's: made here, of the key that was seen, so
// that someone in the middle shows another one (api/node_protocol.h, JoinReply::code).
std::string PendingCode(const Sha256Digest& controller, const Sha256Digest& node) {
  const Sha256Digest digest = Sha256(StrCat(controller.view(), node.view()));
  uint64_t number = 0;
  for (int i = 0; i < 8; ++i) {
    number = number << 8 | digest.bytes[static_cast<size_t>(i)];
  }
  const std::string digits = StrCat(number % 1'000'000);
  return std::string(6 - digits.size(), '0') + digits;
}

}  // namespace

void Uplink::LoadIdentity() {
  absl::StatusOr<std::optional<Identity>> identity = parts_.journal.LoadIdentity();
  if (!identity.ok()) {
    log_.Error("identity_lost", {{"error", identity.status()}});
  } else {
    identity_ = *std::move(identity);
  }
  if (absl::StatusOr<std::optional<SessionRecord>> session = parts_.journal.LoadSession();
      session.ok() && session->has_value()) {
    session_record_ = **std::move(session);
  }
  if (!options_.join_token.empty()) {
    absl::StatusOr<api::JoinToken> token = api::ParseJoinToken(options_.join_token);
    if (token.ok()) {
      token_ = *std::move(token);
    } else {
      log_.Error("join_token_bad", {{"error", token.status()}});
    }
  }
  if (identity_.has_value()) {
    time_.RaiseFloor(WallTime(std::chrono::milliseconds(identity_->time_floor_ms)));
    if (absl::Status used = UseIdentity(); !used.ok()) {
      log_.Error("identity_lost", {{"error", used}});
      identity_.reset();
    }
  }
}

// Makes of the identity what connections need.
absl::Status Uplink::UseIdentity() {
  BRAMBLE_ASSIGN_OR_RETURN(certificate_, Certificate::FromPem(identity_->certificate_pem));
  if (certificate_.Spki() != key_.Spki()) {
    return absl::DataLossError("the certificate is not of this node's key");
  }
  BRAMBLE_RETURN_IF_ERROR(AsStatus(Sha256Digest::FromHex(identity_->controller_key_sha256)));
  state_.name = identity_->name;
  state_.node_id = identity_->node_id;
  return absl::OkStatus();
}

std::vector<std::string> Uplink::Candidates() const {
  std::vector<std::string> all;
  const auto add = [&all](const std::vector<std::string>& more) {
    for (const std::string& target : more) {
      if (std::find(all.begin(), all.end(), target) == all.end() && all.size() < kMaxControllers) {
        all.push_back(target);
      }
    }
  };
  if (identity_.has_value()) {
    add(identity_->controllers);
  }
  add(options_.controllers);
  if (token_.has_value()) {
    add(token_->addresses);
  }
  return all;
}

absl::StatusOr<api::JoinRequest> Uplink::MakeJoinRequest() const {
  api::JoinRequest request;
  BRAMBLE_ASSIGN_OR_RETURN(
      request.csr_pem,
      MakeCertificateRequest(key_, {.common_name = options_.hostname.substr(0, 63)}));
  request.hostname = options_.hostname;
  request.inventory = options_.inventory();
  request.address = options_.address ? options_.address() : "";
  request.labels = options_.labels;
  return request;
}

asio::awaitable<absl::Status> Uplink::JoinOnly() {
  LoadIdentity();
  if (!identity_.has_value()) {
    co_return co_await Join();
  }
  if (!token_.has_value()) {
    co_return absl::OkStatus();
  }
  const std::vector<std::string> candidates = Candidates();
  for (const std::string& candidate : candidates) {
    const absl::Status known = co_await RenewOrJoin(candidate);
    if (known.ok() || known.code() == absl::StatusCode::kPermissionDenied) {
      co_return known;
    }
  }
  co_return absl::OkStatus();  // it has joined; no controller that answers says otherwise
}

// A controller that does not know this node (it was removed, or joined after the backup that was
// restored) is asked to take it by the token.  The identity is replaced once it has.
asio::awaitable<absl::Status> Uplink::RenewOrJoin(std::string target) {
  const absl::Status renewed = co_await Renew(target);
  if (renewed.code() != absl::StatusCode::kPermissionDenied || !token_.has_value()) {
    co_return renewed;
  }
  log_.Warn("identity_refused", {{"controller", target}, {"error", renewed}});
  const absl::Status joined = co_await JoinAt(target);
  if (!joined.ok()) {
    co_return Annotate(joined, StrCat(MessageOf(renewed), "; joining again by the token"));
  }
  session_record_ = {};
  delay_.Reset();
  co_return joined;
}

// Until a controller has let this node in; only what cannot get better by waiting is an error.
asio::awaitable<absl::Status> Uplink::Join() {
  state_.phase = UplinkState::Phase::kJoining;
  while (!identity_.has_value()) {
    const std::vector<std::string> candidates = Candidates();
    if (candidates.empty()) {
      state_.reason = "no controller is known: set join_token or controllers in node.toml";
      if (join_troubles_.Due("", state_.reason, parts_.clock.Boot())) {
        log_.Error("no_controller", {{"hint", state_.reason}});
      }
    }
    std::chrono::milliseconds wait = delay_.Next();
    co_await Pause(wait);
    for (const std::string& candidate : candidates) {
      state_.controller = candidate;
      const absl::Status joined = co_await JoinAt(candidate);
      if (joined.ok() && identity_.has_value()) {
        break;
      }
      if (!joined.ok()) {
        state_.reason = std::string(MessageOf(joined));
        const bool refused = joined.code() == absl::StatusCode::kPermissionDenied;
        state_.phase = refused ? UplinkState::Phase::kRefused : UplinkState::Phase::kJoining;
        if (join_troubles_.Due(candidate, state_.reason, parts_.clock.Boot())) {
          log_.Warn(refused ? "join_refused" : "join_failed",
                    {{"controller", candidate}, {"error", joined}});
        }
      }
    }
  }
  co_return absl::OkStatus();
}

asio::awaitable<absl::Status> Uplink::JoinAt(std::string target) {
  absl::StatusOr<HostPort> address = HostPort::Parse(target, kControllerPort);
  if (!address.ok()) {
    co_return address.status();
  }
  // A controller with another key is refused by the handshake: nothing was sent to it by then.
  TlsClientOptions tls_options{.check = FirstUse{}};
  if (token_.has_value()) {
    absl::StatusOr<Sha256Digest> pin = Sha256Digest::FromBytes(token_->controller_key_sha256);
    if (!pin.ok()) {
      co_return pin.status();
    }
    tls_options.check = PinnedKey{*pin};
  } else if (first_key_.has_value()) {
    tls_options.check = PinnedKey{*first_key_};
  }
  absl::StatusOr<HttpClientOptions> http = OptionsFor(*address, std::move(tls_options));
  if (!http.ok()) {
    co_return http.status();
  }
  HttpClient client(*std::move(http));
  absl::StatusOr<TlsStream*> connection = co_await client.Connect();
  if (!connection.ok()) {
    co_return connection.status();
  }
  const Sha256Digest controller_key = (*connection)->peer().spki;
  absl::StatusOr<api::JoinRequest> request = MakeJoinRequest();
  if (!request.ok()) {
    co_return request.status();
  }
  if (token_.has_value()) {
    const absl::StatusOr<std::string> exporter =
        (*connection)->ExportKeyingMaterial(api::kJoinExporterLabel);
    if (!exporter.ok()) {
      co_return exporter.status();
    }
    const Sha256Digest own = key_.Spki();
    request->token_id = token_->id;
    const Sha256Digest hidden = Sha256(token_->secret);
    request->proof =
        Base64UrlEncode(HmacSha256(hidden.view(), StrCat(*exporter, own.view())).view());
  }
  absl::StatusOr<api::JoinReply> reply = co_await Post(client, "/v1/join", *std::move(request));
  if (!reply.ok()) {
    co_return reply.status();
  }
  if (reply->pending) {
    first_key_ = controller_key;
    const std::string code = PendingCode(controller_key, key_.Spki());
    if (state_.code != code) {
      log_.Info("join_pending", {{"code", code}, {"controller", target}});
    }
    state_.phase = UplinkState::Phase::kPending;
    state_.code = code;
    state_.reason = StrCat("a person approves this node where its code, ", code,
                           ", is shown: `bramble node list`, then `bramble node approve`");
    const std::chrono::milliseconds retry(reply->retry_ms);
    client.Close();
    co_await Pause(std::clamp(retry, kMinPendingRetry, kMaxPendingRetry));
    delay_.Reset();
    co_return absl::OkStatus();
  }
  co_return co_await TakeReply(*std::move(reply), std::move(target), controller_key);
}

asio::awaitable<absl::Status> Uplink::TakeReply(api::JoinReply reply, std::string target,
                                                Sha256Digest controller_key) {
  Identity identity = identity_.value_or(Identity{});
  identity.node_id = reply.node_id;
  identity.name = reply.name;
  identity.cluster_id = reply.cluster_id;
  identity.controller_key_sha256 = controller_key.Hex();
  identity.certificate_pem = reply.certificate_pem;
  identity.ca_pem = reply.ca_pem;
  identity.address = reply.address;
  identity.controllers = {target};
  if (token_.has_value()) {
    for (const std::string& address : token_->addresses) {
      if (address != target) {
        identity.controllers.push_back(address);
      }
    }
  }
  const std::optional<Identity> before = std::exchange(identity_, identity);
  if (absl::Status used = UseIdentity(); !used.ok()) {
    identity_ = before;
    co_return used;
  }
  TakeTime(reply.signed_time_ms);
  if (absl::Status saved = co_await SaveIdentity(); !saved.ok()) {
    // Without it on disk the next start could not come back: the token may be used up by then.
    identity_ = before;
    co_return Annotate(saved, "joined, but the certificate cannot be kept");
  }
  state_.code.clear();
  state_.reason.clear();
  log_.Info("joined", {{"node", identity.name}, {"id", identity.node_id}, {"controller", target}});
  if (options_.on_address) {
    options_.on_address(reply.address);
  }
  co_return absl::OkStatus();
}

asio::awaitable<absl::Status> Uplink::SaveIdentity() {
  identity_->time_floor_ms = time_.At(parts_.clock.Boot()).time_since_epoch().count();
  auto save = [this, identity = *identity_] { return parts_.journal.SaveIdentity(identity); };
  co_return co_await parts_.disk.Run(std::move(save));
}

// A year's certificate at two thirds of its life; not before the controller's time is known.
bool Uplink::RenewalIsDue() const {
  return time_.known() && certificate_ &&
         time_.At(parts_.clock.Boot()) >=
             RenewAt(certificate_.NotBefore(), certificate_.NotAfter());
}

asio::awaitable<absl::Status> Uplink::Renew(std::string target) {
  absl::StatusOr<HostPort> address = HostPort::Parse(target, kControllerPort);
  if (!address.ok()) {
    co_return address.status();
  }
  const absl::StatusOr<Sha256Digest> pin = Sha256Digest::FromHex(identity_->controller_key_sha256);
  if (!pin.ok()) {
    co_return pin.status();
  }
  TlsClientOptions tls_options{.check = PinnedKey{*pin}};
  tls_options.chain = {certificate_};
  tls_options.key = key_;
  absl::StatusOr<HttpClientOptions> http = OptionsFor(*address, std::move(tls_options));
  if (!http.ok()) {
    co_return http.status();
  }
  HttpClient client(*std::move(http));
  absl::StatusOr<api::JoinRequest> request = MakeJoinRequest();
  if (!request.ok()) {
    co_return request.status();
  }
  absl::StatusOr<api::JoinReply> reply = co_await Post(client, "/v1/renew", *std::move(request));
  if (!reply.ok()) {
    co_return reply.status();
  }
  log_.Info("certificate_renewed", {{"controller", target}});
  co_return co_await TakeReply(*std::move(reply), std::move(target), *pin);
}

}  // namespace bramble::node
