// SPDX-License-Identifier: Apache-2.0
#pragma once

// The node's side of the controller's port 8444: joins, keeps one WebSocket open, beats, reports,
// and hands what comes down to the Agent.  Streams into containers and image archives have
// connections of their own (stream_server.h, blob_source.h).
//
// The controller is known by its key alone: pinned by the token, or by the first answer to a node
// that a person then approves by its code.  Another key is refused and shown.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/node_protocol.h"
#include "api/token.h"
#include "base/certificate.h"
#include "base/ip.h"
#include "base/lane.h"
#include "base/log.h"
#include "base/tls.h"
#include "node/agent/agent.h"
#include "node/clock/wall_setter.h"
#include "node/uplink/controller_access.h"
#include "node/uplink/reconnect.h"
#include "node/uplink/said_again.h"
#include "node/uplink/trusted_time.h"

namespace bramble::node {

// What the connection is doing, for `bramble-node status` and the log.
struct UplinkState {
  enum class Phase { kJoining, kPending, kConnecting, kConnected, kHeld, kRefused };
  Phase phase = Phase::kConnecting;
  std::string controller;  // the address in use
  std::string code;        // of a pending node
  std::string reason;      // what failed last
  NodeName name;
  NodeId node_id;
};
inline constexpr std::string_view kUplinkPhaseNames[] = {"joining",   "pending", "connecting",
                                                         "connected", "held",    "refused"};

class CommandRunner;
class StreamServer;

class Uplink {
 public:
  struct Parts {
    asio::io_context& loop;
    const Clock& clock;
    Random& random;
    Agent& agent;
    Journal& journal;
    Lane& disk;
    ControllerAccess& access;
    StreamServer& streams;
    CommandRunner& commands;
    Logger log;
  };
  struct Options {
    PrivateKey key;  // the node's
    ReconnectDelay::Options reconnect;
    std::string hostname;                  // proposes the node's name
    std::string join_token;                // "brm1.…"; empty: ask to be approved
    std::vector<std::string> controllers;  // beyond the token's and the known ones
    api::Labels labels;
    std::function<std::string()> address;  // of the node on the cluster network; empty: none
    WallTime time_floor{};                 // when the image was built: it cannot be earlier
    // Sets the machine's clock when it is off by more than kMaxClockError; nullptr: not allowed.
    WallSetter* wall_setter = nullptr;
    std::chrono::milliseconds held_retry{300'000};
    // What changes within it goes in one report, unless an order was carried out: somebody may
    // wait for that.
    std::chrono::milliseconds report_delay{3};
    std::function<api::Inventory()> inventory;
    std::function<std::vector<api::Condition>()> conditions;
    // Told the node's address as the controller confirmed it: "172.16.0.11/24".
    std::function<void(const std::string&)> on_address;
    // Told with each connection to the controller.
    std::function<void(PeerIdentity)> on_identity;
    // The network as the controller has it.
    std::function<void(api::NodeNetwork)> on_network;
    std::function<void(api::Names)> on_names;
    // Of this node's network, for Hello and Report; agent.changed() is set when it may be another.
    std::function<api::NetworkReport()> network_report;
  };

  Uplink(Parts parts, Options options);
  Uplink(const Uplink&) = delete;
  Uplink& operator=(const Uplink&) = delete;
  ~Uplink();

  // Joins if need be, connects, and connects again, until its scope is cancelled.
  asio::awaitable<void> Run();
  // After Run was cancelled and has ended.
  asio::awaitable<void> Stop();
  // Joins only; returns when the node has a certificate.
  asio::awaitable<absl::Status> JoinOnly();

  const UplinkState& state() const { return state_; }
  // The controller's signed time, as far as it is known.
  WallTime SignedNow() const { return time_.At(parts_.clock.Boot()); }

 private:
  struct Session;

  // ---- join.cc
  void LoadIdentity();
  asio::awaitable<absl::Status> Join();
  asio::awaitable<absl::Status> JoinAt(std::string target);
  asio::awaitable<absl::Status> RenewOrJoin(std::string target);
  asio::awaitable<absl::Status> Renew(std::string target);
  asio::awaitable<absl::Status> TakeReply(api::JoinReply reply, std::string target,
                                          Sha256Digest controller_key);
  absl::StatusOr<api::JoinRequest> MakeJoinRequest() const;
  std::vector<std::string> Candidates() const;
  absl::Status UseIdentity();
  void TellIdentity(const Certificate& controller);
  bool RenewalIsDue() const;
  asio::awaitable<absl::Status> SaveIdentity();

  // ---- session.cc
  asio::awaitable<absl::Status> RunSession(std::string target);
  asio::awaitable<absl::Status> Receive(Session& session);
  asio::awaitable<absl::Status> OnMessage(Session& session, api::ControllerMessage message);
  asio::awaitable<absl::Status> BecomeAnother();
  asio::awaitable<absl::Status> OnWelcome(Session& session, api::Welcome welcome);
  void OnHeartbeatReply(Session& session, const api::HeartbeatReply& reply);
  void OnDesired(Session& session, const api::Desired& desired);
  asio::awaitable<void> Beat(Session& session);
  asio::awaitable<void> SendReports(Session& session);
  asio::awaitable<void> RunCommand(Session& session, api::Command command);
  api::Hello MakeHello() const;
  std::vector<api::Condition> Conditions() const;
  void TakeTime(int64_t signed_time_ms);
  void KeepClock();
  int64_t StepToTell(Session& session);
  absl::Status CheckDates(const Certificate& controller) const;
  asio::awaitable<void> Pause(std::chrono::milliseconds wait);

  Parts parts_;
  const Options options_;
  const Logger log_;
  PrivateKey key_;
  std::optional<api::JoinToken> token_;
  std::optional<Sha256Digest> first_key_;  // of the controller that holds us pending
  std::optional<Identity> identity_;
  Certificate certificate_;
  SessionRecord session_record_;
  ReconnectDelay delay_;
  TrustedTime time_;
  std::chrono::milliseconds clock_step_{0};  // taken, and not acknowledged by the controller yet
  bool clock_failed_ = false;                // said once
  SaidAgain join_troubles_;
  UplinkState state_;
  std::shared_ptr<Session> session_;
};

}  // namespace bramble::node
