// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/http_controller_client.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "api/problem.h"
#include "base/http_client.h"
#include "base/run_on_loop.h"
#include "base/status.h"
#include "tools/bramble/terminal_stream.h"

namespace bramble::cli {
namespace {

constexpr std::chrono::seconds kConnectLimit{10};
constexpr std::chrono::seconds kReplyLimit{180};  // a backup or an image takes the server a while
constexpr int kMaxAttempts = 5;
constexpr int64_t kMaxRetryAfterSeconds = 5;
constexpr size_t kMaxBodyBytes = 64 << 20;

absl::StatusOr<HostPort> TargetOf(std::string_view url) {
  constexpr std::string_view kScheme = "https://";
  return HostPort::Parse(url.substr(std::min(url.size(), kScheme.size())), 8443);
}

absl::StatusOr<ServerCheck> CheckOf(const Session::Endpoint& endpoint, const HostPort& target) {
  if (!endpoint.spki_sha256.empty()) {
    BRAMBLE_ASSIGN_OR_RETURN(const Sha256Digest pin, Sha256Digest::FromHex(endpoint.spki_sha256));
    return ServerCheck(PinnedKey{pin});
  }
  if (!endpoint.ca_pem.empty()) {
    BRAMBLE_ASSIGN_OR_RETURN(Certificate ca, Certificate::FromPem(endpoint.ca_pem));
    return ServerCheck(IssuedByCaForName{.ca = std::move(ca), .name = target.host});
  }
  return absl::FailedPreconditionError(
      "the credential pins no key and names no authority; run `bramble cluster init` again");
}

// The server's own words of an answer of 400 or more.
absl::Status ErrorOf(int status, const std::string& body) {
  const absl::StatusOr<json::value> value = ParseJson(body);
  if (value.ok()) {
    const absl::StatusOr<api::Problem> problem = api::ProblemFromJson(*value);
    if (problem.ok()) {
      return api::StatusOf(*problem);
    }
  }
  api::Problem unknown;
  unknown.status = status;
  unknown.detail = StrCat("the server answered ", status, " ", HttpReason(status),
                          "; is it a Bramble controller?");
  return api::StatusOf(unknown);
}

class HttpControllerClient : public ControllerClient {
 public:
  explicit HttpControllerClient(Session::Endpoint endpoint) : endpoint_(std::move(endpoint)) {}

  absl::StatusOr<ApiReply> Send(ApiRequest request) override {
    return Exchange(request, [this](const HttpRequest& http) { return client_->Send(http); });
  }

  absl::StatusOr<ApiReply> SendForBytes(
      ApiRequest request, std::function<absl::Status(std::string_view)> on_bytes) override {
    bool began = false;
    return Exchange(request, [this, &on_bytes, &began](const HttpRequest& http) {
      if (began) {  // part of it was given out: no second attempt
        return absl::StatusOr<HttpReply>(absl::DataLossError("cut off in the middle; try again"));
      }
      return client_->SendForBytes(http, [&on_bytes, &began](std::string_view bytes) {
        began = true;
        return on_bytes(bytes);
      });
    });
  }

  absl::StatusOr<ApiReply> SendForLines(ApiRequest request, std::chrono::milliseconds idle_limit,
                                        std::function<bool(std::string_view)> on_line) override {
    BRAMBLE_RETURN_IF_ERROR(Prepare());
    BRAMBLE_ASSIGN_OR_RETURN(const HttpRequest http, HttpRequestOf(request));
    return Finish(client_->SendForLines(http, idle_limit, std::move(on_line)));
  }

  absl::StatusOr<StreamEnd> Stream(std::string path, StreamEnds ends) override {
    BRAMBLE_RETURN_IF_ERROR(Prepare());
    WebSocket::Dial dial;
    dial.target = target_;
    dial.tls = tls_;
    dial.path = std::move(path);
    absl::StatusOr<StreamEnd> end = RunTerminalStream(std::move(dial), ends);
    return end.ok() ? end : Explained(end.status());
  }

 private:
  absl::Status Prepare() {
    if (client_ != nullptr) {
      return absl::OkStatus();
    }
    BRAMBLE_ASSIGN_OR_RETURN(target_, TargetOf(endpoint_.url));
    BRAMBLE_ASSIGN_OR_RETURN(ServerCheck check, CheckOf(endpoint_, target_));
    TlsClientOptions tls;
    tls.check = std::move(check);
    BRAMBLE_ASSIGN_OR_RETURN(tls_, TlsClientContext::Make(std::move(tls)));
    HttpClientOptions options;
    options.target = target_;
    options.tls = tls_;
    options.connect_limit = kConnectLimit;
    options.reply_limit = kReplyLimit;
    options.max_body_bytes = kMaxBodyBytes;
    client_ = std::make_unique<BlockingHttpClient>(std::move(options));
    return absl::OkStatus();
  }

  absl::StatusOr<HttpRequest> HttpRequestOf(const ApiRequest& request) const {
    HttpRequest http;
    http.method = request.method;
    http.target = RequestTargetOf(request);
    http.body = request.body;
    http.content_type = request.content_type;
    for (const auto& [name, value] : request.headers) {
      http.headers.Add(name, value);
    }
    if (!endpoint_.token.empty()) {
      http.headers.Add("Authorization", StrCat("Bearer ", endpoint_.token));
    }
    if (!request.idempotency_key.empty()) {
      http.headers.Add("Idempotency-Key", request.idempotency_key);
    }
    if (request.file >= 0) {
      const int copy = ::dup(request.file);
      if (copy < 0) {
        return ErrnoStatus(errno, "dup");
      }
      http.file = std::make_shared<Fd>(copy);
      http.file_size = request.file_bytes;
      http.progress = request.progress;
    }
    return http;
  }

  absl::StatusOr<ApiReply> Exchange(
      const ApiRequest& request,
      const std::function<absl::StatusOr<HttpReply>(const HttpRequest&)>& send) {
    BRAMBLE_RETURN_IF_ERROR(Prepare());
    const bool repeatable = request.method == "GET" || !request.idempotency_key.empty();
    for (int attempt = 1;; ++attempt) {
      BRAMBLE_ASSIGN_OR_RETURN(const HttpRequest http, HttpRequestOf(request));
      absl::StatusOr<HttpReply> reply = send(http);
      const bool busy = reply.ok() && reply->status == 503;
      const bool cut_off = absl::IsUnavailable(reply.status()) && was_reached_ && repeatable;
      was_reached_ = was_reached_ || reply.ok();
      if (attempt >= kMaxAttempts || (!busy && !cut_off)) {
        return Finish(std::move(reply));
      }
      int64_t pause_s = 1;
      if (busy) {
        const std::string_view after = reply->headers.Get("Retry-After");
        std::from_chars(after.data(), after.data() + after.size(), pause_s);
      }
      ::usleep(static_cast<useconds_t>(
          std::clamp<int64_t>(pause_s, 0, kMaxRetryAfterSeconds) * 1'000'000 + 100'000));
    }
  }

  absl::StatusOr<ApiReply> Finish(absl::StatusOr<HttpReply> reply) const {
    if (!reply.ok()) {
      return Explained(reply.status());
    }
    if (reply->status >= 400) {
      return ErrorOf(reply->status, reply->body);
    }
    return ApiReply{.status = reply->status,
                    .body = std::move(reply->body),
                    .date = std::string(reply->headers.Get("Date"))};
  }

  // Adds the next step to what the network says.
  absl::Status Explained(const absl::Status& status) const {
    std::string_view message = MessageOf(status);
    const std::string address = StrCat(target_.str(), ": ");
    if (message.substr(0, address.size()) == address) {
      message.remove_prefix(address.size());  // the URL says it
    }
    if (absl::IsPermissionDenied(status)) {
      return absl::PermissionDeniedError(
          StrCat("controller ", endpoint_.url, ": ", message,
                 "; if the controller was set up anew, run `bramble cluster init` again, else "
                 "somebody may be in between"));
    }
    if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) {
      return absl::Status(status.code(),
                          StrCat("controller ", endpoint_.url, ": ", message,
                                 "; check that it runs and that this address is still its own "
                                 "(`bramble cluster doctor`)"));
    }
    return status;
  }

  const Session::Endpoint endpoint_;
  HostPort target_;
  std::shared_ptr<TlsClientContext> tls_;
  std::unique_ptr<BlockingHttpClient> client_;
  bool was_reached_ = false;
};

asio::awaitable<absl::StatusOr<ServerIdentity>> Identify(HostPort target) {
  TlsClientOptions options;
  options.check = FirstUse{};
  auto tls = TlsClientContext::Make(std::move(options));
  if (!tls.ok()) {
    co_return tls.status();
  }
  auto stream = co_await TlsStream::Connect(*tls, target, kConnectLimit);
  if (!stream.ok()) {
    co_return stream.status();
  }
  const TlsPeer& peer = (*stream)->peer();
  ServerIdentity identity{.spki_sha256 = peer.spki.Hex(), .subject = peer.certificate.CommonName()};
  (*stream)->Close();
  co_return identity;
}

}  // namespace

std::unique_ptr<ControllerClient> MakeHttpControllerClient(Session::Endpoint endpoint) {
  return std::make_unique<HttpControllerClient>(std::move(endpoint));
}

absl::StatusOr<ServerIdentity> IdentifyServer(std::string url) {
  BRAMBLE_ASSIGN_OR_RETURN(HostPort target, TargetOf(url));
  asio::io_context loop;
  absl::StatusOr<ServerIdentity> identity = RunOnLoop(loop, Identify(std::move(target)));
  if (!identity.ok()) {
    return Annotate(identity.status(), StrCat("controller ", url));
  }
  return identity;
}

}  // namespace bramble::cli
