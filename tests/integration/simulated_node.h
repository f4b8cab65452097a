// SPDX-License-Identifier: Apache-2.0
#pragma once

// A node that speaks the real protocol over real TLS and only pretends to run containers.  For
// tests.

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "api/node_protocol.h"
#include "api/token.h"
#include "base/asio.h"
#include "base/certificate.h"
#include "base/tls.h"
#include "base/websocket.h"
#include "tests/integration/controller_process.h"

namespace bramble::testing {

struct SimulatedNodeOptions {
  std::string hostname = "pi-1";
  std::string architecture = "amd64";
  int64_t memory_bytes = int64_t{1} << 30;
  int64_t cpu_milli = 4000;
};

// What is proved in a join; the parts that a test wants to get wrong can be set.
struct JoinAttempt {
  std::string join_token;
  std::optional<std::string> proof;       // instead of the right one
  std::optional<TokenId> token_id;        // instead of the token's
  std::optional<PrivateKey> signing_key;  // of the request, instead of the node's
};

// Its loop runs on a thread of its own while it is connected.
class SimulatedNode {
 public:
  SimulatedNode(ControllerProcess& controller, SimulatedNodeOptions options = {});
  ~SimulatedNode();

  // POST /v1/join; keeps the certificate.  The status is the problem's.
  absl::StatusOr<api::JoinReply> Join(JoinAttempt attempt);
  absl::StatusOr<api::JoinReply> Join(std::string join_token);

  // POST /v1/renew over TLS with `certificate` (of the node's key, or with `key` of another) and a
  // request signed with `signing_key`, else with the node's.
  struct RenewAttempt {
    std::string certificate_pem;
    std::optional<PrivateKey> key;
    std::optional<PrivateKey> signing_key;
  };
  absl::StatusOr<api::JoinReply> Renew(RenewAttempt attempt);
  const PrivateKey& key() const { return key_; }

  // Dials /v1/node and behaves: does what Desired says at once and reports it.
  void Connect();
  void Disconnect();

  // GET with the node's certificate, or with another of its key.
  Answer Get(std::string target, HeaderList headers = {});
  Answer GetWith(const std::string& certificate_pem, std::string target);

  // What the controller last wanted; empty before.
  api::Desired desired() const;
  std::optional<api::Welcome> welcome() const;
  // How often the controller ended the session.
  int closed() const { return closed_; }
  const api::JoinReply& identity() const { return identity_; }
  // Reports from now on that it has seen this epoch and generation.
  void ClaimVersion(api::Version version) { claimed_ = version; }

 private:
  struct Session;
  absl::StatusOr<std::shared_ptr<TlsClientContext>> Tls(bool with_certificate) const;
  asio::awaitable<absl::StatusOr<api::JoinReply>> SendJoin(std::shared_ptr<TlsClientContext> tls,
                                                           api::JoinToken token,
                                                           JoinAttempt attempt);
  api::Inventory MakeInventory() const;
  asio::awaitable<void> Run(std::shared_ptr<Session> session);
  asio::awaitable<void> OnMessage(std::shared_ptr<Session> session, api::ControllerMessage message);
  asio::awaitable<void> ServeStream(api::OpenStream open);
  api::ObservedContainer Observe(const api::NodeContainer& container) const;

  ControllerProcess& controller_;
  const SimulatedNodeOptions options_;
  const PrivateKey key_ = PrivateKey::Generate();
  api::JoinReply identity_;
  std::optional<api::Version> claimed_;

  asio::io_context loop_;
  std::thread thread_;
  std::shared_ptr<Session> session_;
  std::atomic<int> closed_ = 0;
  mutable std::mutex mutex_;
  api::Desired desired_;                 // guarded by mutex_
  std::optional<api::Welcome> welcome_;  // guarded by mutex_
  std::string session_value_;            // guarded by mutex_
};

}  // namespace bramble::testing
