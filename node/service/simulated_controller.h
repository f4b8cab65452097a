// SPDX-License-Identifier: Apache-2.0
#pragma once

// A controller on loopback as a node sees it: joins, renews, one session, streams, archives.  It
// does what a test tells it, and keeps what it was told.

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/node_protocol.h"
#include "api/token.h"
#include "base/encoding.h"
#include "base/timer.h"
#include "base/tls_testing.h"

namespace bramble::node {

class SimulatedController {
 public:
  explicit SimulatedController(asio::io_context& loop) : loop_(loop), changed_(loop) { Serve(0); }

  // ---- what it does
  bool approve = true;  // without a token: at once, or after a person
  int64_t lease_ms = 0;
  std::chrono::milliseconds signed_offset{0};  // by which the time that it signs is off
  int64_t heartbeat_ms = 10'000;
  int64_t stop_ms = 30'000;
  std::string held;           // answers the Hello with this
  bool new_identity = false;  // and with this, once
  bool knows_it = true;       // false: the node was removed; a join by token makes it known again
  std::string session_value = "s1";
  std::map<std::string, std::string> blobs;
  std::chrono::hours certificate_age{1};
  std::chrono::hours certificate_rest{24 * 365};

  // ---- what it was told
  std::vector<api::JoinRequest> joins;
  std::vector<std::string> proofs;  // that were right
  int renewals = 0;
  std::vector<api::Hello> hellos;
  std::vector<api::Heartbeat> heartbeats;
  std::vector<api::Report> reports;
  std::vector<api::CommandResult> results;
  int resyncs = 0;
  std::map<ContainerId, api::ObservedContainer> containers;
  std::unique_ptr<WebSocket> stream;  // the last one that was dialled

  uint16_t port() const { return port_; }
  std::string address() const { return StrCat("127.0.0.1:", port_); }
  Event& changed() { return changed_; }
  bool connected() const { return socket_ != nullptr && socket_->is_open(); }

  std::string Token() const {
    return api::FormatJoinToken({.controller_key_sha256 = std::string(ca_.server_key.Spki().view()),
                                 .id = TokenId::Trusted("t1"),
                                 .secret = kSecret,
                                 .addresses = {address()}});
  }

  void Send(const api::ControllerMessage& message) {
    ASSERT_NE(socket_, nullptr);
    EXPECT_TRUE(socket_->TrySend({.bytes = api::Encode(message)}).ok());
  }
  void Disconnect() {
    if (socket_ != nullptr) {
      socket_->Abort();
    }
  }
  // As another machine with another key at the same address.
  void BecomeAnother() {
    server_.reset();
    ca_ = TestCa();
    Serve(port_);
  }
  asio::awaitable<void> Stop() {
    Disconnect();
    if (stream != nullptr) {
      stream->Abort();
    }
    co_await server_->Stop();
  }

 private:
  static constexpr char kSecret[] = "0123456789abcdef";

  void Serve(uint16_t port) {
    Router router;
    const auto add = [&](std::string_view method, std::string_view pattern, auto member) {
      Route route;
      route.direct = [this, member](Request& request) { return (this->*member)(request); };
      router.Add(method, pattern, std::move(route));
    };
    add("POST", "/v1/join", &SimulatedController::Join);
    add("POST", "/v1/renew", &SimulatedController::Renew);
    add("GET", "/v1/node", &SimulatedController::Session);
    add("GET", "/v1/streams/{ticket}", &SimulatedController::Stream);
    add("GET", "/v1/blobs/{digest}", &SimulatedController::Blob);
    server_ = std::make_unique<HttpServer>(loop_, std::move(router), HttpServerOptions(), Logger());
    port_ = server_->Listen({"127.0.0.1", port}, ca_.ServerContext()).value();
  }

  Response Problem(int status, std::string detail) {
    Response response;
    response.status = status;
    response.body = json::serialize(
        json::object{{"status", status}, {"code", "permission_denied"}, {"detail", detail}});
    return response;
  }

  api::JoinReply Issue(const api::JoinRequest& request) {
    const WallTime now = SystemClock().Wall();
    api::JoinReply reply;
    reply.node_id = NodeId::Trusted("n1");
    reply.name = NodeName::Trusted("pi-1");
    reply.cluster_id = ClusterId::Trusted("c1");
    const CertificateDates dates = {now - certificate_age, now + certificate_rest};
    reply.certificate_pem = ca_.Issue(ParseCertificateRequest(request.csr_pem)->key,
                                      {.common_name = "n1"}, dates, CertificateUse::kClient)
                                .Pem();
    reply.ca_pem = ca_.certificate.Pem();
    reply.address = "172.16.0.11/24";
    reply.signed_time_ms = now.time_since_epoch().count();
    return reply;
  }

  Response Join(Request& request) {
    api::JoinRequest wanted = api::JoinRequestFromJson(ParseJson(request.body).value()).value();
    joins.push_back(wanted);
    changed_.Set();
    Response response;
    if (!wanted.token_id.empty()) {
      const std::string exporter =
          request.connection->ExportKeyingMaterial(api::kJoinExporterLabel).value();
      const Sha256Digest key = ParseCertificateRequest(wanted.csr_pem)->key.Spki();
      const std::string proof =
          Base64UrlEncode(HmacSha256(Sha256(kSecret).view(), StrCat(exporter, key.view())).view());
      if (proof != wanted.proof) {
        return Problem(403, "the proof is wrong");
      }
      proofs.push_back(proof);
      knows_it = true;
    } else if (!approve) {
      api::JoinReply pending;
      pending.pending = true;
      pending.code = "123456";
      pending.retry_ms = 10;
      response.body = json::serialize(api::ToJson(pending));
      return response;
    }
    response.body = json::serialize(api::ToJson(Issue(wanted)));
    return response;
  }

  Response Renew(Request& request) {
    if (request.connection->peer().state == PeerCertificate::kNone) {
      return Problem(403, "no certificate");
    }
    if (!knows_it) {
      return Problem(403, "the certificate presented is of no node of this cluster");
    }
    ++renewals;
    certificate_age = std::chrono::hours(1);
    certificate_rest = std::chrono::hours(24 * 365);
    Response response;
    response.body = json::serialize(
        api::ToJson(Issue(api::JoinRequestFromJson(ParseJson(request.body).value()).value())));
    changed_.Set();
    return response;
  }

  Response Session(Request& request) {
    if (!knows_it || request.connection->peer().state != PeerCertificate::kValid) {
      return Problem(401, "no valid certificate");
    }
    WebSocketBody body;
    body.run = [this](std::unique_ptr<WebSocket> socket) { return Run(std::move(socket)); };
    Response response;
    response.body = std::move(body);
    return response;
  }

  asio::awaitable<void> Run(std::unique_ptr<WebSocket> accepted) {
    const std::shared_ptr<WebSocket> socket = std::move(accepted);
    socket_ = socket;
    while (true) {
      auto message = co_await socket->Receive();
      if (!message.ok() || !message->has_value()) {
        break;
      }
      Take(api::DecodeNodeMessage((*message)->bytes).value());
      changed_.Set();
    }
    changed_.Set();
  }

  void Take(const api::NodeMessage& message) {
    if (const auto* hello = std::get_if<api::Hello>(&message)) {
      hellos.push_back(*hello);
      if (!held.empty()) {
        Send(api::Held{.reason = held, .new_identity = new_identity});
        if (std::exchange(new_identity, false)) {
          held.clear();
        }
        return;
      }
      Send(api::Welcome{
          .epoch = 1,
          .cluster_id = ClusterId::Trusted("c1"),
          .name = NodeName::Trusted("pi-1"),
          .session_value = session_value,
          .heartbeat_ms = heartbeat_ms,
          .lease_ms = lease_ms,
          .stop_ms = stop_ms,
          .signed_time_ms = (SystemClock().Wall() + signed_offset).time_since_epoch().count(),
          .address = "172.16.0.11/24"});
    } else if (const auto* heartbeat = std::get_if<api::Heartbeat>(&message)) {
      heartbeats.push_back(*heartbeat);
      Send(api::HeartbeatReply{.sequence = heartbeat->sequence,
                               .sent_boot_ns = heartbeat->sent_boot_ns,
                               .lease_ms = lease_ms,
                               .heartbeat_ms = heartbeat_ms,
                               .signed_time_ms = 0});
    } else if (const auto* report = std::get_if<api::Report>(&message)) {
      reports.push_back(*report);
      for (const api::ObservedContainer& container : report->containers) {
        containers[container.id] = container;
      }
      for (const ContainerId& removed : report->removed) {
        containers.erase(removed);
      }
    } else if (const auto* result = std::get_if<api::CommandResult>(&message)) {
      results.push_back(*result);
    } else {
      ++resyncs;
    }
  }

  Response Stream(Request&) {
    WebSocketBody body;
    body.run = [this](std::unique_ptr<WebSocket> socket) { return Hold(std::move(socket)); };
    Response response;
    response.body = std::move(body);
    return response;
  }
  asio::awaitable<void> Hold(std::unique_ptr<WebSocket> socket) {
    stream = std::move(socket);
    changed_.Set();
    Event done(loop_);
    stream_done_ = &done;
    co_await done.Wait();
  }

  Response Blob(Request& request) {
    const auto found = blobs.find(request.Param("digest"));
    if (found == blobs.end()) {
      return Problem(404, "no such blob");
    }
    std::string bytes = found->second;
    Response response;
    const absl::StatusOr<std::optional<ByteRange>> range =
        ParseByteRange(request.headers.Get("Range"), bytes.size());
    if (range.ok() && range->has_value()) {
      response.status = 206;
      response.headers.Add("Content-Range",
                           StrCat("bytes ", (*range)->first, "-",
                                  (*range)->first + (*range)->count - 1, "/", bytes.size()));
      bytes = bytes.substr((*range)->first, (*range)->count);
      ranges.push_back((*range)->first);
    }
    response.body = std::move(bytes);
    return response;
  }

 public:
  std::vector<uint64_t> ranges;  // where archives were resumed
  void EndStream() {
    if (stream_done_ != nullptr) {
      stream_done_->Set();
    }
  }

 private:
  asio::io_context& loop_;
  TestCa ca_;
  std::unique_ptr<HttpServer> server_;
  uint16_t port_ = 0;
  std::shared_ptr<WebSocket> socket_;
  Event* stream_done_ = nullptr;
  Event changed_;
};

}  // namespace bramble::node
