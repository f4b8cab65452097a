// SPDX-License-Identifier: Apache-2.0
#pragma once

// A coordinator under a fake clock, on a store in memory, with nodes that the test plays.  Nothing
// here sleeps, waits or does I/O.

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "base/encoding.h"
#include "base/hash.h"
#include "controller/coordinator.h"
#include "controller/coordinator_cluster.h"
#include "controller/coordinator_containers.h"
#include "controller/coordinator_events.h"
#include "controller/coordinator_flavors.h"
#include "controller/coordinator_floating_ips.h"
#include "controller/coordinator_images.h"
#include "controller/coordinator_network.h"
#include "controller/coordinator_nodes.h"
#include "controller/coordinator_operations.h"
#include "controller/coordinator_port_forwards.h"
#include "controller/coordinator_security_groups.h"
#include "controller/coordinator_sessions.h"
#include "controller/coordinator_tokens.h"
#include "controller/store/memory_store.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bramble::controller {

// Keeps what was sent on each link, until the test reads it.
class FakeLinks : public NodeLinks {
 public:
  void Send(LinkId link, SharedText message) override {
    sent[link].push_back(api::DecodeControllerMessage(*message).value());
  }
  void Close(LinkId link, std::string reason) override { closed[link] = std::move(reason); }

  std::map<LinkId, std::deque<api::ControllerMessage>> sent;
  std::map<LinkId, std::string> closed;
};

// Answers when told to.
class FakeProber : public AddressProber {
 public:
  void Probe(std::string address, Done done) override {
    waiting.emplace_back(std::move(address), std::move(done));
  }
  void WhoHas(std::string address, WhoDone done) override {
    asking.emplace_back(std::move(address), std::move(done));
  }
  void AnswerAll() {
    while (!asking.empty()) {
      auto [address, done] = std::move(asking.front());
      asking.pop_front();
      done(macs[address]);
    }
    while (!waiting.empty()) {
      auto [address, done] = std::move(waiting.front());
      waiting.pop_front();
      done(in_use.contains(address));
    }
  }

  std::deque<std::pair<std::string, Done>> waiting;
  std::deque<std::pair<std::string, WhoDone>> asking;
  std::set<std::string> in_use;
  std::map<std::string, std::vector<std::string>> macs;
};

// Keeps what it was told.
class FakeNetworkServices : public NetworkServices {
 public:
  void Apply(NetworkOutputs outputs) override { applied.push_back(std::move(outputs)); }
  const NetworkServiceState& state() const override { return now; }

  std::vector<NetworkOutputs> applied;
  NetworkServiceState now{
      .interface = "br0", .uplink = "eth0", .dns = "running", .dhcp = "running"};
};

// Copies when the test says so.
class FakeCopier : public LayerCopier {
 public:
  void Copy(LayerCopy copy, Done done) override {
    begun.push_back(copy);
    under_way[copy.move] = std::move(done);
  }
  void Cancel(const std::string& move) override { under_way.erase(move); }
  int64_t BytesCopied(const std::string&) const override { return 5 * kMiB; }
  void Finish(const absl::Status& status, bool at_target = false) {
    auto ended = std::exchange(under_way, {});
    for (auto& [move, done] : ended) {
      done({.status = status, .at_target = at_target});
    }
  }

  std::vector<LayerCopy> begun;
  std::map<std::string, Done> under_way;
};

// A request is "csr KEY"; the certificate names the key.
class FakeIssuer : public CertificateIssuer {
 public:
  absl::StatusOr<std::string> KeyOf(const std::string& csr_pem) override {
    if (!csr_pem.starts_with("csr ")) {
      return absl::InvalidArgumentError("csr_pem: not a certificate request");
    }
    return Sha256(csr_pem.substr(4)).Hex();
  }
  absl::StatusOr<Issued> IssueNode(const std::string& csr_pem, const ClusterId&,
                                   const NodeId& node) override {
    return Issued{"certificate of " + node.str(), KeyOf(csr_pem).value()};
  }
  std::string CaPem() const override { return "ca"; }
  std::string ServerKeySha256() const override { return std::string(Sha256("server").view()); }
};

// A node as the controller sees it: what it says, and what it was told.
struct PlayedNode {
  std::string key;
  std::string serial;
  std::string architecture = "amd64";
  std::string boot_id = "boot-1";
  NodeId id;
  LinkId link = 0;
  api::Version version;
  std::string session_value;
  std::string previous_session_value;
  std::map<std::string, api::NodeContainer> containers;  // by id: what it was told to have
  std::set<std::string> ran;                             // says that their init ran there
  std::map<std::string, std::string> cannot_start;       // and why
  std::vector<std::string> buried;                       // tombstones that it was sent
  std::vector<api::Desired> desired;
  std::optional<api::NodeNetwork> network;
  std::optional<api::Names> names;
  std::optional<api::HeartbeatReply> last_reply;
  std::optional<api::Held> held;
  std::vector<api::Command> commands;
};

class CoordinatorTest : public testing::Test {
 protected:
  CoordinatorTest() { Restart(); }

  // Another controller process over the same store; what was not durable is lost.
  void Restart() {
    coordinator_.reset();
    copier_.under_way.clear();
    store_.LosePower();
    links_ = std::make_unique<FakeLinks>();
    prober_.waiting.clear();
    prober_.asking.clear();
    coordinator_ = std::make_unique<Coordinator>(settings_, CoordinatorParts{.clock = &clock_,
                                                                             .random = &random_,
                                                                             .store = &store_,
                                                                             .links = links_.get(),
                                                                             .prober = &prober_,
                                                                             .issuer = &issuer_,
                                                                             .copier = &copier_,
                                                                             .network = &network_});
    start_status_ = coordinator_->Start();
    Settle();
  }

  // Everything that is under way ends.
  void Settle() {
    do {
      prober_.AnswerAll();
      coordinator_->Tick();
    } while (store_.RunPending());
    for (auto& [name, node] : nodes_) {
      Receive(node);
    }
  }

  void Pass(std::chrono::milliseconds time,
            std::chrono::milliseconds step = std::chrono::seconds(1)) {
    for (std::chrono::milliseconds passed{0}; passed < time; passed += step) {
      clock_.Advance(step);
      Settle();
    }
  }

  // Time passes, and the nodes named go on saying that they live.
  void PassWithHeartbeats(std::chrono::seconds time, const std::vector<std::string>& alive) {
    for (std::chrono::seconds passed{0}; passed < time; passed += std::chrono::seconds(5)) {
      clock_.Advance(std::chrono::seconds(5));
      for (const std::string& name : alive) {
        Heartbeat(name);
      }
      Settle();
    }
  }

  static Principal Admin() {
    return {.kind = PrincipalKind::kUser, .id = "u1", .name = "admin", .role = Role::kAdmin};
  }
  static Principal Stranger() {
    return {.kind = PrincipalKind::kUser, .id = "u2", .name = "mallory", .role = Role::kNone};
  }

  // The answer to a write, once it is there.
  using Answer = std::shared_ptr<std::optional<absl::StatusOr<Written>>>;
  static std::pair<Answer, WriteDone> Expect() {
    auto answer = std::make_shared<std::optional<absl::StatusOr<Written>>>();
    return {answer, [answer](absl::StatusOr<Written> written) {
              EXPECT_FALSE(answer->has_value()) << "answered twice";
              *answer = std::move(written);
            }};
  }
  template <typename Call>
  absl::StatusOr<Written> Do(Call call) {
    auto [answer, done] = Expect();
    call(std::move(done));
    Settle();
    return answer->has_value() ? **answer
                               : absl::StatusOr<Written>(absl::InternalError("no answer"));
  }

  std::string TokenText(int64_t max_uses = 100) {
    const auto written = Do([&](WriteDone done) {
      coordinator_->tokens().Create(Admin(), {.max_uses = max_uses}, {}, std::move(done));
    });
    const json::value body = json::parse(*written.value().object);
    return std::string(body.at("join_token").as_string());
  }

  absl::StatusOr<api::JoinReply> Join(const std::string& name, const std::string& token_text,
                                      const std::string& exporter = "exporter") {
    PlayedNode& node = nodes_[name];
    node.key = node.key.empty() ? "key-" + name : node.key;
    node.serial = node.serial.empty() ? "serial-" + name : node.serial;
    api::JoinRequest request{
        .csr_pem = "csr " + node.key, .hostname = name, .inventory = InventoryOf(node)};
    if (!token_text.empty()) {
      const api::JoinToken token = api::ParseJoinToken(token_text).value();
      request.token_id = token.id;
      const std::string data = exporter + std::string(Sha256(node.key).view());
      request.proof = Base64UrlEncode(HmacSha256(Sha256(token.secret).view(), data).view());
    }
    std::optional<absl::StatusOr<api::JoinReply>> answer;
    coordinator_->sessions().OnJoin(request, {.exporter = "exporter"},
                                    [&](absl::StatusOr<api::JoinReply> reply) { answer = reply; });
    Settle();
    if (answer.has_value() && answer->ok()) {
      node.id = (*answer)->node_id;
    }
    return answer.value_or(absl::InternalError("no answer"));
  }

  static api::Inventory InventoryOf(const PlayedNode& node) {
    return {
        .architecture = node.architecture,
        .serial = node.serial,
        .boot_id = node.boot_id,
        .capacity = {.cpu = {4000}, .memory = {1024 * kMiB}, .disk = {16 * kGiB}, .pids = 30000}};
  }

  // Opens a connection and says Hello; the full report follows when it was welcomed.
  void Connect(const std::string& name) {
    PlayedNode& node = nodes_[name];
    ConnectAs(node);
    Settle();
    if (!links_->closed.contains(node.link)) {
      ReportAll(name);
    }
  }
  void ConnectAs(PlayedNode& node) {
    node.link = ++next_link_;
    node.held.reset();
    coordinator_->sessions().OnConnected(node.link, node.id, "172.16.0.11");
    coordinator_->sessions().OnMessage(
        node.link, api::Hello{.version = node.version,
                              .session_value = node.session_value,
                              .previous_session_value = node.previous_session_value,
                              .inventory = InventoryOf(node),
                              .hostname = "host"});
  }
  void Disconnect(const std::string& name) {
    coordinator_->sessions().OnDisconnected(nodes_[name].link);
    Settle();
  }

  void Heartbeat(const std::string& name) {
    PlayedNode& node = nodes_[name];
    coordinator_->sessions().OnMessage(
        node.link, api::Heartbeat{.sequence = ++sequence_,
                                  .sent_boot_ns = clock_.Boot().time_since_epoch().count(),
                                  .version = node.version});
  }

  static api::ObservedContainer Observed(const api::NodeContainer& container,
                                         api::ContainerState state) {
    return {.id = container.id,
            .name = container.name,
            .project = container.project,
            .generation = container.generation,
            .restart_count = container.spec.restart_count,
            .rebuild_count = container.spec.rebuild_count,
            .state = state,
            .definition = container};
  }
  static api::ContainerState StateOf(const api::NodeContainer& container) {
    switch (container.spec.desired) {
      case api::DesiredState::kRunning:
        return api::ContainerState::kRunning;
      case api::DesiredState::kStopped:
        return api::ContainerState::kStopped;
      case api::DesiredState::kFrozen:
        return api::ContainerState::kFrozen;
    }
    return api::ContainerState::kStopped;
  }

  // The node has done what it was told, and says so.
  void ReportAll(const std::string& name, bool full = true) {
    PlayedNode& node = nodes_[name];
    api::Report report{.full = full, .version = node.version};
    for (const auto& [id, container] : node.containers) {
      report.containers.push_back(Observed(container, StateOf(container)));
      api::ObservedContainer& observed = report.containers.back();
      observed.ran = node.ran.contains(id);
      const auto broken = node.cannot_start.find(id);
      if (broken != node.cannot_start.end() && observed.state == api::ContainerState::kRunning) {
        observed.state = api::ContainerState::kFailed;
        observed.reason = broken->second;
      }
    }
    for (const std::string& id : node.buried) {
      report.removed.push_back(ContainerId::Trusted(id));
    }
    node.buried.clear();
    coordinator_->sessions().OnMessage(node.link, std::move(report));
    Settle();
  }
  void ReportState(const std::string& name, const std::string& container, api::ContainerState state,
                   const std::string& reason = "") {
    PlayedNode& node = nodes_[name];
    api::ObservedContainer observed = Observed(node.containers.at(container), state);
    observed.reason = reason;
    coordinator_->sessions().OnMessage(
        node.link, api::Report{.version = node.version, .containers = {observed}});
    Settle();
  }

  // Takes in what the controller sent, as an agent does.
  void Receive(PlayedNode& node) {
    auto& queue = links_->sent[node.link];
    while (!queue.empty()) {
      const api::ControllerMessage message = std::move(queue.front());
      queue.pop_front();
      if (const auto* welcome = std::get_if<api::Welcome>(&message)) {
        node.previous_session_value = node.session_value;
        node.session_value = welcome->session_value;
      } else if (const auto* desired = std::get_if<api::Desired>(&message)) {
        Apply(node, *desired);
      } else if (const auto* network = std::get_if<api::NodeNetwork>(&message)) {
        EXPECT_TRUE(!node.network.has_value() || node.network->version <= network->version);
        node.network = *network;
      } else if (const auto* names = std::get_if<api::Names>(&message)) {
        EXPECT_TRUE(!node.names.has_value() || node.names->version <= names->version);
        node.names = *names;
      } else if (const auto* reply = std::get_if<api::HeartbeatReply>(&message)) {
        node.last_reply = *reply;
      } else if (const auto* held = std::get_if<api::Held>(&message)) {
        node.held = *held;
      } else if (const auto* command = std::get_if<api::Command>(&message)) {
        node.commands.push_back(*command);
      }
    }
  }
  static void Apply(PlayedNode& node, const api::Desired& desired) {
    node.desired.push_back(desired);
    if (desired.version < node.version) {
      return;
    }
    EXPECT_TRUE(desired.full || desired.base == node.version) << "a delta on top of something else";
    node.version = desired.version;
    for (const api::NodeContainer& container : desired.containers) {
      node.containers[container.id.str()] = container;
    }
    for (const ContainerId& id : desired.tombstones) {
      node.containers.erase(id.str());
      node.buried.push_back(id.str());
    }
  }

  void AddNode(const std::string& name, const std::string& architecture = "amd64") {
    nodes_[name].architecture = architecture;
    ASSERT_TRUE(Join(name, TokenText()).ok());
    Connect(name);
  }
  void AddImage(const std::string& name = "busybox", const std::string& architecture = "amd64") {
    const auto written = Do([&](WriteDone done) {
      coordinator_->images().Add(Admin(),
                                 {.name = name,
                                  .variant = {.architecture = architecture,
                                              .digest = Sha256(name + architecture).Hex(),
                                              .size = {1000}}},
                                 {}, std::move(done));
    });
    ASSERT_TRUE(written.ok()) << written.status();
  }

  static CreateContainer Request(const std::string& name, bool movable = false) {
    CreateContainer request{.name = ContainerName::Trusted(name)};
    request.spec.image = "busybox";
    request.spec.flavor = "nano";
    request.spec.placement.placement_class =
        movable ? api::PlacementClass::kMovable : api::PlacementClass::kPinned;
    return request;
  }
  absl::StatusOr<Written> Create(const CreateContainer& request, WriteOptions options = {}) {
    return Do([&](WriteDone done) {
      coordinator_->containers().Create(Admin(), request, options, std::move(done));
    });
  }
  absl::StatusOr<Written> Act(const std::string& name, ContainerVerb verb,
                              WriteOptions options = {}) {
    return Do([&](WriteDone done) {
      coordinator_->containers().Act(Admin(), {name}, verb, options, std::move(done));
    });
  }
  absl::StatusOr<Written> Delete(const std::string& name) {
    return Do([&](WriteDone done) {
      coordinator_->containers().Delete(Admin(), {name}, {}, std::move(done));
    });
  }

  const api::Container& Container(const std::string& name) {
    const ContainerRecord* record = coordinator_->state().FindContainer("default", name);
    static const api::Container kNone;
    EXPECT_NE(record, nullptr) << name;
    return record == nullptr ? kNone : record->api;
  }
  bool Exists(const std::string& name) {
    return coordinator_->state().FindContainer("default", name) != nullptr;
  }
  const api::Node& Node(const std::string& name) {
    const NodeRecord* record = coordinator_->state().FindNode(name);
    static const api::Node kNone;
    EXPECT_NE(record, nullptr) << name;
    return record == nullptr ? kNone : record->api;
  }
  const api::Operation& Operation(const OperationId& id) {
    return coordinator_->state().operations().Find(id.str())->api;
  }
  std::vector<std::string> EventTypes() {
    std::vector<std::string> types;
    for (const EventRecord& event : coordinator_->state().events()) {
      types.push_back(event.type);
    }
    return types;
  }

  CoordinatorSettings settings_;
  FakeClock clock_;
  SeededRandom random_{42};
  MemoryStore store_;
  std::unique_ptr<FakeLinks> links_;
  FakeNetworkServices network_;
  FakeProber prober_;
  FakeIssuer issuer_;
  FakeCopier copier_;
  std::map<std::string, PlayedNode> nodes_;
  std::unique_ptr<Coordinator> coordinator_;
  absl::Status start_status_;
  LinkId next_link_ = 0;
  uint64_t sequence_ = 0;
};

}  // namespace bramble::controller
