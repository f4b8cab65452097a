// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/simulated_node.h"

#include <gtest/gtest.h>

#include <boost/asio/post.hpp>

#include "api/problem.h"
#include "api/token.h"
#include "base/encoding.h"
#include "base/hash.h"
#include "base/http_client.h"
#include "base/run_on_loop.h"
#include "base/scope.h"
#include "base/status.h"
#include "base/timer.h"

namespace bramble::testing {
namespace {

constexpr std::chrono::milliseconds kHeartbeat{500};

absl::StatusOr<api::JoinReply> ReadJoinReply(const HttpReply& reply) {
  BRAMBLE_ASSIGN_OR_RETURN(const json::value body, ParseJson(reply.body));
  if (reply.status >= 400) {
    BRAMBLE_ASSIGN_OR_RETURN(const api::Problem problem, api::ProblemFromJson(body));
    return api::StatusOf(problem);
  }
  return api::JoinReplyFromJson(body);
}

WebSocketMessage Frame(char channel, std::string_view bytes) {
  return {.binary = true, .bytes = std::string(1, channel) + std::string(bytes)};
}

}  // namespace

struct SimulatedNode::Session {
  explicit Session(asio::io_context& loop) : scope(loop) {}
  std::unique_ptr<WebSocket> socket;
  Scope scope;
};

SimulatedNode::SimulatedNode(ControllerProcess& controller, SimulatedNodeOptions options)
    : controller_(controller), options_(std::move(options)) {}

SimulatedNode::~SimulatedNode() { Disconnect(); }

absl::StatusOr<std::shared_ptr<TlsClientContext>> SimulatedNode::Tls(bool with_certificate) const {
  TlsClientOptions tls{.check = IssuedByCa{controller_.Ca()}};
  if (with_certificate) {
    BRAMBLE_ASSIGN_OR_RETURN(const Certificate own,
                             Certificate::FromPem(identity_.certificate_pem));
    tls.chain = {own};
    tls.key = key_;
  }
  return TlsClientContext::Make(std::move(tls));
}

api::Inventory SimulatedNode::MakeInventory() const {
  api::Inventory inventory;
  inventory.architecture = options_.architecture;
  inventory.serial = StrCat("serial-of-", options_.hostname);
  inventory.cgroup_layout = "v2";
  inventory.lsm = "none";
  inventory.boot_id = "boot-1";
  inventory.page_size_bytes = 4096;
  inventory.capacity.cpu.count = options_.cpu_milli;
  inventory.capacity.memory.count = options_.memory_bytes;
  inventory.capacity.disk.count = int64_t{8} << 30;
  inventory.capacity.pids = 30000;
  return inventory;
}

absl::StatusOr<api::JoinReply> SimulatedNode::Join(std::string join_token) {
  return Join(JoinAttempt{.join_token = std::move(join_token)});
}

absl::StatusOr<api::JoinReply> SimulatedNode::Join(JoinAttempt attempt) {
  BRAMBLE_ASSIGN_OR_RETURN(const api::JoinToken token, api::ParseJoinToken(attempt.join_token));
  TlsClientOptions tls{.check = PinnedKey{}};
  BRAMBLE_ASSIGN_OR_RETURN(const Sha256Digest pin,
                           Sha256Digest::FromBytes(token.controller_key_sha256));
  tls.check = PinnedKey{pin};
  BRAMBLE_ASSIGN_OR_RETURN(auto context, TlsClientContext::Make(std::move(tls)));
  asio::io_context loop;
  BRAMBLE_ASSIGN_OR_RETURN(
      identity_, RunOnLoop(loop, SendJoin(std::move(context), token, std::move(attempt))));
  return identity_;
}

asio::awaitable<absl::StatusOr<api::JoinReply>> SimulatedNode::SendJoin(
    std::shared_ptr<TlsClientContext> tls, api::JoinToken token, JoinAttempt attempt) {
  HttpClientOptions options;
  options.target = HostPort{.host = "127.0.0.1", .port = controller_.nodes_port()};
  options.tls = std::move(tls);
  HttpClient client(std::move(options));
  BRAMBLE_CO_ASSIGN_OR_RETURN(TlsStream * connection, co_await client.Connect());
  BRAMBLE_CO_ASSIGN_OR_RETURN(const std::string exporter,
                              connection->ExportKeyingMaterial(api::kJoinExporterLabel));
  api::JoinRequest request;
  BRAMBLE_CO_ASSIGN_OR_RETURN(request.csr_pem,
                              MakeCertificateRequest(attempt.signing_key.value_or(key_),
                                                     CertificateSubject{.common_name = "node"}));
  request.token_id = attempt.token_id.value_or(token.id);
  const std::string key(Sha256(token.secret).view());
  const std::string message = exporter + std::string(key_.Spki().view());
  request.proof = attempt.proof.value_or(Base64UrlEncode(HmacSha256(key, message).view()));
  request.hostname = options_.hostname;
  request.inventory = MakeInventory();
  HttpRequest http;
  http.method = "POST";
  http.target = "/v1/join";
  http.body = json::serialize(api::ToJson(request));
  BRAMBLE_CO_ASSIGN_OR_RETURN(const HttpReply reply, co_await client.Send(std::move(http)));
  co_return ReadJoinReply(reply);
}

absl::StatusOr<api::JoinReply> SimulatedNode::Renew(RenewAttempt attempt) {
  TlsClientOptions tls{.check = IssuedByCa{controller_.Ca()}};
  if (!attempt.certificate_pem.empty()) {
    BRAMBLE_ASSIGN_OR_RETURN(const Certificate own, Certificate::FromPem(attempt.certificate_pem));
    tls.chain = {own};
    tls.key = attempt.key.value_or(key_);
  }
  BRAMBLE_ASSIGN_OR_RETURN(auto context, TlsClientContext::Make(std::move(tls)));
  api::JoinRequest request;
  BRAMBLE_ASSIGN_OR_RETURN(request.csr_pem,
                           MakeCertificateRequest(attempt.signing_key.value_or(key_),
                                                  CertificateSubject{.common_name = "node"}));
  request.hostname = options_.hostname;
  request.inventory = MakeInventory();
  BlockingHttpClient client(
      {.target = {.host = "127.0.0.1", .port = controller_.nodes_port()}, .tls = context});
  HttpRequest http;
  http.method = "POST";
  http.target = "/v1/renew";
  http.body = json::serialize(api::ToJson(request));
  BRAMBLE_ASSIGN_OR_RETURN(const HttpReply reply, client.Send(std::move(http)));
  return ReadJoinReply(reply);
}

void SimulatedNode::Connect() {
  Disconnect();
  loop_.restart();
  session_ = std::make_shared<Session>(loop_);
  Spawn(session_->scope, "node", Run(session_));
  thread_ = std::thread([this] { loop_.run(); });
}

void SimulatedNode::Disconnect() {
  if (!thread_.joinable()) {
    return;
  }
  asio::post(loop_, [session = session_] {
    session->scope.Cancel();
    if (session->socket != nullptr) {
      session->socket->Abort();
    }
  });
  thread_.join();
  session_.reset();
}

Answer SimulatedNode::Get(std::string target, HeaderList headers) {
  BlockingHttpClient client({.target = {.host = "127.0.0.1", .port = controller_.nodes_port()},
                             .tls = Tls(!identity_.certificate_pem.empty()).value()});
  HttpRequest request;
  request.target = std::move(target);
  request.headers = std::move(headers);
  const absl::StatusOr<HttpReply> reply = client.Send(std::move(request));
  if (!reply.ok()) {
    return {.status = 0, .headers = {}, .text = reply.status().ToString(), .body = nullptr};
  }
  return {.status = reply->status,
          .headers = reply->headers,
          .text = reply->body,
          .body = ParseJson(reply->body).value_or(nullptr)};
}

Answer SimulatedNode::GetWith(const std::string& certificate_pem, std::string target) {
  const std::string own = std::exchange(identity_.certificate_pem, certificate_pem);
  Answer answer = Get(std::move(target));
  identity_.certificate_pem = own;
  return answer;
}

api::Desired SimulatedNode::desired() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return desired_;
}

std::optional<api::Welcome> SimulatedNode::welcome() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return welcome_;
}

api::ObservedContainer SimulatedNode::Observe(const api::NodeContainer& container) const {
  api::ObservedContainer observed;
  observed.id = container.id;
  observed.name = container.name;
  observed.project = container.project;
  observed.generation = container.generation;
  observed.restart_count = container.spec.restart_count;
  observed.rebuild_count = container.spec.rebuild_count;
  observed.disk_limit_mode = "none";
  observed.definition = container;
  switch (container.spec.desired) {
    case api::DesiredState::kRunning:
      observed.state = api::ContainerState::kRunning;
      break;
    case api::DesiredState::kStopped:
      observed.state = api::ContainerState::kStopped;
      break;
    case api::DesiredState::kFrozen:
      observed.state = api::ContainerState::kFrozen;
      break;
  }
  return observed;
}

asio::awaitable<void> SimulatedNode::Run(std::shared_ptr<Session> session) {
  WebSocket::Dial dial;
  dial.target = {.host = "127.0.0.1", .port = controller_.nodes_port()};
  dial.tls = Tls(/*with_certificate=*/true).value();
  dial.path = "/v1/node";
  auto socket = co_await WebSocket::Connect(std::move(dial));
  if (!socket.ok()) {
    ++closed_;
    co_return;
  }
  session->socket = *std::move(socket);
  api::Hello hello;
  hello.hostname = options_.hostname;
  hello.inventory = MakeInventory();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    hello.version = claimed_.value_or(desired_.version);
    hello.session_value = session_value_;
  }
  (void)session->socket->TrySend({.binary = false, .bytes = api::Encode(api::NodeMessage(hello))});
  while (true) {
    auto received = co_await session->socket->Receive();
    if (!received.ok() || !received->has_value()) {
      ++closed_;
      co_return;
    }
    absl::StatusOr<api::ControllerMessage> message =
        api::DecodeControllerMessage((*received)->bytes);
    if (message.ok()) {
      co_await OnMessage(session, *std::move(message));
    } else {
      ADD_FAILURE() << message.status();
    }
  }
}

namespace {
asio::awaitable<void> KeepBeating(WebSocket* socket) {
  for (uint64_t sequence = 1;; ++sequence) {
    api::Heartbeat beat;
    beat.sequence = sequence;
    beat.sent_boot_ns = static_cast<int64_t>(sequence) * 1'000'000;
    (void)socket->TrySend({.binary = false, .bytes = api::Encode(api::NodeMessage(beat))});
    co_await SleepFor(kHeartbeat);
  }
}
}  // namespace

asio::awaitable<void> SimulatedNode::OnMessage(std::shared_ptr<Session> session,
                                               api::ControllerMessage message) {
  api::Report report;
  if (const auto* welcome = std::get_if<api::Welcome>(&message)) {
    const std::lock_guard<std::mutex> lock(mutex_);
    welcome_ = *welcome;
    session_value_ = welcome->session_value;
    report.full = true;
    Spawn(session->scope, "heartbeat", KeepBeating(session->socket.get()));
    for (const api::NodeContainer& container : desired_.containers) {
      report.containers.push_back(Observe(container));
    }
  } else if (const auto* desired = std::get_if<api::Desired>(&message)) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (desired->full) {
      desired_ = *desired;
    } else {
      desired_.version = desired->version;
      for (const api::NodeContainer& changed : desired->containers) {
        std::erase_if(desired_.containers,
                      [&](const api::NodeContainer& each) { return each.id == changed.id; });
        desired_.containers.push_back(changed);
      }
    }
    for (const ContainerId& id : desired->tombstones) {
      std::erase_if(desired_.containers,
                    [&](const api::NodeContainer& each) { return each.id == id; });
      report.removed.push_back(id);
    }
    for (const api::NodeContainer& container : desired_.containers) {
      report.containers.push_back(Observe(container));
    }
    report.version = desired->version;
  } else if (const auto* open = std::get_if<api::OpenStream>(&message)) {
    Spawn(session->scope, "stream", ServeStream(*open));
    co_return;
  } else if (const auto* command = std::get_if<api::Command>(&message)) {
    api::CommandResult result;
    result.command_id = command->command_id;
    (void)session->socket->TrySend(
        {.binary = false, .bytes = api::Encode(api::NodeMessage(result))});
    co_return;
  } else {
    co_return;
  }
  (void)session->socket->TrySend({.binary = false, .bytes = api::Encode(api::NodeMessage(report))});
}

// exec echoes what it is given and exits with the code that its first argument names; push keeps
// nothing and says how much came; pull and logs give what their path or tail says.
asio::awaitable<void> SimulatedNode::ServeStream(api::OpenStream open) {
  WebSocket::Dial dial;
  dial.target = {.host = "127.0.0.1", .port = controller_.nodes_port()};
  dial.tls = Tls(/*with_certificate=*/true).value();
  dial.path = StrCat("/v1/streams/", open.ticket);
  auto dialled = co_await WebSocket::Connect(std::move(dial));
  if (!dialled.ok()) {
    ADD_FAILURE() << dialled.status();
    co_return;
  }
  WebSocket& socket = **dialled;
  std::string end = R"({"exit":{"code":0}})";
  if (open.kind == api::StreamKind::kPull && open.path == "/missing") {
    end = R"({"error":"/missing: not found","code":"not_found"})";
  } else if (open.kind == api::StreamKind::kPull || open.kind == api::StreamKind::kLogs) {
    const std::string piece(60'000, 'p');
    for (int i = 0; i < 40; ++i) {
      WebSocketMessage frame = Frame(1, piece);
      (void)co_await socket.Send(std::move(frame));
    }
  } else if (open.kind == api::StreamKind::kPush && open.path == "/refused") {
    end = R"({"error":"/refused: is a directory","code":"failed_precondition"})";
  } else {
    size_t taken = 0;
    if (open.kind == api::StreamKind::kPush && open.path == "/size") {
      end = StrCat(R"({"error":"/size: announced )", open.size_bytes,
                   R"(","code":"resource_exhausted"})");
    }
    while (true) {
      auto received = co_await socket.Receive();
      if (!received.ok() || !received->has_value()) {
        co_return;
      }
      const std::string bytes = (*received)->bytes;
      if (bytes[0] == 3 && bytes.find("eof") != std::string::npos) {
        break;
      }
      taken += bytes.size() - 1;
      if (open.kind == api::StreamKind::kExec && bytes[0] == 0) {
        WebSocketMessage frame = Frame(1, std::string_view(bytes).substr(1));
        (void)co_await socket.Send(std::move(frame));
      }
    }
    if (open.kind == api::StreamKind::kExec && open.command.size() > 1) {
      end = StrCat(R"({"exit":{"code":)", open.command[1], "}}");
    } else if (open.kind == api::StreamKind::kPush && open.path == "/full") {
      end = StrCat(R"({"error":"/full: no space after )", taken,
                   R"( bytes","code":"resource_exhausted"})");
    }
  }
  WebSocketMessage last = Frame(3, end);
  (void)co_await socket.Send(std::move(last));
  co_await socket.Close(kWebSocketNormal, "");
}

}  // namespace bramble::testing
