// SPDX-License-Identifier: Apache-2.0
// One session with the controller: Hello, Welcome, then heartbeats and reports up, desired state
// down.
#include <map>

#include "base/scope.h"
#include "base/status.h"
#include "base/timer.h"
#include "base/websocket.h"
#include "node/uplink/command_runner.h"
#include "node/uplink/stream_server.h"
#include "node/uplink/uplink.h"

namespace bramble::node {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kWelcomeLimit{15'000};
constexpr milliseconds kMinHeartbeat{500};
constexpr milliseconds kMaxHeartbeat{600'000};
constexpr size_t kMaxHeartbeatsUnderWay = 16;
// The time floor on disk is brought forward so seldom that it costs no card.
constexpr std::chrono::hours kTimeFloorStep{24 * 7};

milliseconds HeartbeatEvery(int64_t wanted_ms) {
  return std::clamp(milliseconds(wanted_ms), kMinHeartbeat, kMaxHeartbeat);
}

}  // namespace

// What lives as long as one WebSocket.
struct Uplink::Session {
  Session(asio::io_context& loop, std::unique_ptr<WebSocket> connected, Logger log)
      : socket(std::move(connected)), welcome(loop), beat_now(loop), scope(loop, log) {}

  std::unique_ptr<WebSocket> socket;
  Event welcome;
  Event beat_now;
  bool held = false;
  milliseconds heartbeat{10'000};
  uint64_t sequence = 0;
  std::map<uint64_t, BootTime> sent;  // heartbeats that were not answered yet
  uint64_t step_said_in = 0;  // the heartbeat that tells of the clock's step; 0: none under way
  milliseconds step_said{0};
  Scope scope;  // last: its tasks use the rest
};

Uplink::Uplink(Parts parts, Options options)
    : parts_(parts),
      options_(std::move(options)),
      log_(parts.log),
      key_(options_.key),
      delay_(options_.reconnect, parts.random),
      time_(options_.time_floor) {}

Uplink::~Uplink() = default;

asio::awaitable<void> Uplink::Pause(milliseconds wait) {
  if (wait.count() > 0) {
    co_await SleepFor(wait);
  }
}

asio::awaitable<void> Uplink::Run() {
  LoadIdentity();
  while (true) {
    if (!identity_.has_value()) {
      (void)co_await Join();
    }
    for (const std::string& candidate : Candidates()) {
      if (state_.phase != UplinkState::Phase::kRefused &&
          state_.phase != UplinkState::Phase::kHeld) {
        state_.phase = UplinkState::Phase::kConnecting;
      }
      const milliseconds wait = delay_.Next();
      co_await Pause(wait);
      const absl::Status ended = co_await RunSession(candidate);
      parts_.access.Clear();
      state_.reason = std::string(MessageOf(ended));
      if (state_.phase == UplinkState::Phase::kHeld) {
        log_.Error("node_held", {{"controller", candidate}, {"reason", state_.reason}});
        co_await Pause(options_.held_retry);
        state_.phase = UplinkState::Phase::kConnecting;
        continue;
      }
      if (ended.code() == absl::StatusCode::kPermissionDenied) {
        state_.phase = UplinkState::Phase::kRefused;
        log_.Error("controller_refused", {{"controller", candidate}, {"error", ended}});
        continue;
      }
      log_.Warn("session_ended", {{"controller", candidate}, {"error", ended}});
      if (!identity_.has_value()) {
        break;
      }
      if (ended.code() == absl::StatusCode::kFailedPrecondition) {
        // It answered, and did not take our certificate: perhaps it ran out.
        const absl::Status renewed = co_await RenewOrJoin(candidate);
        if (!renewed.ok()) {
          state_.phase = UplinkState::Phase::kRefused;
          state_.reason = std::string(MessageOf(renewed));
          log_.Error("certificate_refused", {{"controller", candidate}, {"error", renewed}});
        }
      }
    }
  }
}

asio::awaitable<absl::Status> Uplink::RunSession(std::string target) {
  absl::StatusOr<HostPort> address = HostPort::Parse(target, kControllerPort);
  if (!address.ok()) {
    co_return address.status();
  }
  state_.controller = target;
  TlsClientOptions tls_options{
      .check = PinnedKey{Sha256Digest::FromHex(identity_->controller_key_sha256).value()}};
  tls_options.chain = {certificate_};
  tls_options.key = key_;
  absl::StatusOr<std::shared_ptr<TlsClientContext>> tls =
      TlsClientContext::Make(std::move(tls_options));
  if (!tls.ok()) {
    co_return tls.status();
  }
  WebSocketOptions websocket{.max_message_bytes = api::kMaxNodeMessageBytes};
  WebSocket::Dial dial{.target = *address, .tls = *tls, .path = "/v1/node", .options = websocket};
  absl::StatusOr<std::unique_ptr<WebSocket>> socket = co_await WebSocket::Connect(std::move(dial));
  if (!socket.ok()) {
    co_return socket.status();
  }
  session_ = std::make_shared<Session>(parts_.loop, *std::move(socket), log_);
  Session& session = *session_;
  const api::Hello hello = MakeHello();
  absl::Status ended = session.socket->TrySend({.bytes = api::Encode(hello)});
  if (ended.ok()) {
    ControllerAccess::Dial access{.target = *address, .tls = *tls};
    parts_.access.Set(std::move(access));
    TellIdentity(session.socket->connection().peer().certificate);
    Spawn(session.scope, "uplink_beat", Beat(session));
    Spawn(session.scope, "uplink_report", SendReports(session));
    ended = co_await Receive(session);
  }
  parts_.access.Clear();
  co_await session.scope.Join();
  session_.reset();
  co_return ended;
}

void Uplink::TellIdentity(const Certificate& controller) {
  absl::StatusOr<Certificate> ca = Certificate::FromPem(identity_->ca_pem);
  if (!options_.on_identity || !ca.ok() || !controller) {
    return;
  }
  options_.on_identity({.node = identity_->node_id,
                        .certificate = certificate_,
                        .key = key_,
                        .ca = *std::move(ca),
                        .controller_key = controller.Key()});
}

// A Run that was cancelled leaves its session behind: its tasks can be waited for only here.
asio::awaitable<void> Uplink::Stop() {
  parts_.access.Clear();
  if (const std::shared_ptr<Session> session = std::exchange(session_, nullptr)) {
    co_await session->scope.Join();
  }
}

asio::awaitable<absl::Status> Uplink::Receive(Session& session) {
  while (true) {
    absl::StatusOr<std::optional<WebSocketMessage>> message = co_await session.socket->Receive();
    if (!message.ok()) {
      co_return message.status();
    }
    if (!message->has_value()) {
      co_return absl::UnavailableError(
          StrCat("the controller closed: ", session.socket->close_code(), " ",
                 session.socket->close_reason()));
    }
    absl::StatusOr<api::ControllerMessage> decoded =
        api::DecodeControllerMessage((*message)->bytes);
    if (decoded.status().code() == absl::StatusCode::kUnimplemented) {
      log_.Info("message_unknown", {{"error", decoded.status()}});
      continue;
    }
    if (!decoded.ok()) {
      log_.Warn("message_bad", {{"error", decoded.status()}});
      co_return decoded.status();
    }
    const absl::Status handled = co_await OnMessage(session, *std::move(decoded));
    if (!handled.ok()) {
      co_return handled;
    }
  }
}

asio::awaitable<absl::Status> Uplink::OnMessage(Session& session, api::ControllerMessage message) {
  if (auto* welcome = std::get_if<api::Welcome>(&message)) {
    co_return co_await OnWelcome(session, std::move(*welcome));
  }
  if (const auto* held = std::get_if<api::Held>(&message)) {
    state_.phase = UplinkState::Phase::kHeld;
    if (held->new_identity) {
      co_return co_await BecomeAnother();
    }
    co_return absl::UnavailableError(held->reason);
  }
  if (!session.welcome.is_set()) {
    co_return absl::InvalidArgumentError("the controller spoke before its welcome");
  }
  if (const auto* reply = std::get_if<api::HeartbeatReply>(&message)) {
    OnHeartbeatReply(session, *reply);
  } else if (const auto* desired = std::get_if<api::Desired>(&message)) {
    OnDesired(session, *desired);
  } else if (auto* network = std::get_if<api::NodeNetwork>(&message)) {
    if (options_.on_network) {
      options_.on_network(std::move(*network));
    }
  } else if (auto* names = std::get_if<api::Names>(&message)) {
    if (options_.on_names) {
      options_.on_names(std::move(*names));
    }
  } else if (auto* stream = std::get_if<api::OpenStream>(&message)) {
    parts_.streams.Open(std::move(*stream));
  } else if (auto* command = std::get_if<api::Command>(&message)) {
    Spawn(session.scope, "uplink_command", RunCommand(session, std::move(*command)));
  }
  co_return absl::OkStatus();
}

// A copy of another node's card, as a person decided: it joins anew, with a key of its own.  What
// it runs goes on, and is an orphan to the controller.
asio::awaitable<absl::Status> Uplink::BecomeAnother() {
  const PrivateKey fresh = PrivateKey::Generate();
  auto save = [this, fresh] {
    BRAMBLE_RETURN_IF_ERROR(parts_.journal.ForgetIdentity());
    return fresh.Save(parts_.journal.paths().Key());
  };
  const absl::Status saved = co_await parts_.disk.Run(std::move(save));
  if (!saved.ok()) {
    co_return Annotate(saved, "new identity");
  }
  log_.Warn("new_identity", {{"was", identity_->node_id}});
  key_ = fresh;
  certificate_ = Certificate();
  identity_.reset();
  session_record_ = {};
  state_.phase = UplinkState::Phase::kJoining;
  state_.name = NodeName();
  state_.node_id = NodeId();
  co_return absl::UnavailableError("the controller asks this node to join anew");
}

asio::awaitable<absl::Status> Uplink::OnWelcome(Session& session, api::Welcome welcome) {
  TakeTime(welcome.signed_time_ms);
  const absl::Status dates = CheckDates(session.socket->connection().peer().certificate);
  if (!dates.ok()) {
    log_.Error("controller_certificate_dates", {{"error", dates}});
    co_return dates;
  }
  parts_.agent.SetStopAfterLease(milliseconds(welcome.stop_ms));
  parts_.agent.OnSession();
  session.heartbeat = HeartbeatEvery(welcome.heartbeat_ms);
  // Durable before anything else: should the power go now, the next session shows this value or
  // the one before it, and the controller takes both.
  session_record_ = {.value = welcome.session_value, .previous = session_record_.value};
  auto save = [this, record = session_record_] { return parts_.journal.SaveSession(record); };
  const absl::Status saved = co_await parts_.disk.Run(std::move(save));
  if (!saved.ok()) {
    log_.Error("journal_failed", {{"error", saved}});
  }
  const bool moved =
      identity_->controllers.empty() || identity_->controllers.front() != state_.controller;
  const bool renamed = identity_->name != welcome.name || identity_->address != welcome.address;
  const WallTime floor{milliseconds(identity_->time_floor_ms)};
  if (moved || renamed || time_.At(parts_.clock.Boot()) > floor + kTimeFloorStep) {
    std::erase(identity_->controllers, state_.controller);
    identity_->controllers.insert(identity_->controllers.begin(), state_.controller);
    identity_->name = welcome.name;
    identity_->address = welcome.address;
    (void)co_await SaveIdentity();
  }
  state_.phase = UplinkState::Phase::kConnected;
  state_.reason.clear();
  state_.name = welcome.name;
  delay_.Reset();
  log_.Info("connected", {{"controller", state_.controller}, {"node", welcome.name}});
  if (options_.on_address) {
    options_.on_address(welcome.address);
  }
  session.welcome.Set();
  co_return absl::OkStatus();
}

void Uplink::TakeTime(int64_t signed_time_ms) {
  if (signed_time_ms > 0) {
    time_.OnSigned(WallTime(milliseconds(signed_time_ms)), parts_.clock.Boot());
    KeepClock();
  }
}

// Sets the machine's clock where it is wrong; never silently.
void Uplink::KeepClock() {
  if (options_.wall_setter == nullptr || !time_.known() || options_.wall_setter->KeptByAnother()) {
    return;
  }
  const WallTime was = parts_.clock.Wall();
  const WallTime right = time_.At(parts_.clock.Boot());
  const std::optional<milliseconds> step = ClockStep(was, right);
  if (!step.has_value()) {
    return;
  }
  if (const absl::Status set = options_.wall_setter->Set(right); !set.ok()) {
    if (!std::exchange(clock_failed_, true)) {
      log_.Warn("clock_not_set", {{"error", set}, {"off_by_ms", step->count()}});
    }
    return;
  }
  clock_failed_ = false;
  clock_step_ += *step;
  log_.Warn("clock_stepped",
            {{"from", FormatTime(was)}, {"to", FormatTime(right)}, {"by_ms", step->count()}});
}

// After the controller's time is known: before, only its key counted.
absl::Status Uplink::CheckDates(const Certificate& controller) const {
  const WallTime now = time_.At(parts_.clock.Boot());
  if (!time_.known() || !controller ||
      (now >= controller.NotBefore() && now <= controller.NotAfter())) {
    return absl::OkStatus();
  }
  return absl::UnavailableError(
      StrCat("the controller's certificate is valid from ", FormatTime(controller.NotBefore()),
             " to ", FormatTime(controller.NotAfter()), " and by its own signed time it is ",
             FormatTime(now), "; look at the controller's clock"));
}

api::Hello Uplink::MakeHello() const {
  api::Hello hello;
  hello.version = parts_.agent.version();
  hello.session_value = session_record_.value;
  hello.previous_session_value = session_record_.previous;
  hello.inventory = options_.inventory();
  hello.conditions = Conditions();
  hello.hostname = options_.hostname;
  hello.address = options_.address ? options_.address() : "";
  if (options_.network_report) {
    hello.network = options_.network_report();
  }
  hello.labels = options_.labels;
  hello.images = parts_.agent.images();
  hello.wall_time_ms = parts_.clock.Wall().time_since_epoch().count();
  return hello;
}

std::vector<api::Condition> Uplink::Conditions() const {
  std::vector<api::Condition> conditions = options_.conditions();
  for (api::Condition& condition : parts_.agent.conditions()) {
    conditions.push_back(std::move(condition));
  }
  return conditions;
}

// ---- up

asio::awaitable<void> Uplink::Beat(Session& session) {
  co_await session.welcome.Wait();
  if (!session.welcome.is_set()) {
    co_return;  // the session ended before it was one
  }
  while (true) {
    const BootTime now = parts_.clock.Boot();
    const api::Heartbeat heartbeat{.sequence = ++session.sequence,
                                   .sent_boot_ns = now.time_since_epoch().count(),
                                   .version = parts_.agent.version(),
                                   .conditions = Conditions(),
                                   .clock_step_ms = StepToTell(session)};
    session.sent[session.sequence] = now;
    if (session.sent.size() > kMaxHeartbeatsUnderWay) {
      session.sent.erase(session.sent.begin());
    }
    const absl::Status sent = session.socket->TrySend({.bytes = api::Encode(heartbeat)});
    if (!sent.ok()) {
      session.socket->Abort();  // Receive ends then, and says why
      co_return;
    }
    if (RenewalIsDue()) {
      if (const absl::Status renewed = co_await Renew(state_.controller); !renewed.ok()) {
        log_.Warn("certificate_not_renewed", {{"error", renewed}});
      }
    }
    // A quarter of jitter either way, so that nodes do not beat in step.
    const auto quarter = static_cast<uint64_t>(session.heartbeat.count()) / 4;
    const milliseconds wait(session.heartbeat.count() - static_cast<int64_t>(quarter) +
                            static_cast<int64_t>(parts_.random.Below(2 * quarter + 1)));
    session.beat_now.Reset();
    co_await session.beat_now.WaitFor(wait);
  }
}

// What the next heartbeat says of the clock: each step once, and again only in another session.
int64_t Uplink::StepToTell(Session& session) {
  if (session.step_said_in != 0 || clock_step_.count() == 0) {
    return 0;
  }
  session.step_said_in = session.sequence;
  session.step_said = clock_step_;
  return session.step_said.count();
}

// The lease runs from the moment the heartbeat was sent, by our own record of it.
void Uplink::OnHeartbeatReply(Session& session, const api::HeartbeatReply& reply) {
  TakeTime(reply.signed_time_ms);
  session.heartbeat = HeartbeatEvery(reply.heartbeat_ms);
  const auto sent = session.sent.find(reply.sequence);
  if (sent == session.sent.end()) {
    return;
  }
  const BootTime from = sent->second;
  session.sent.erase(session.sent.begin(), std::next(sent));
  if (session.step_said_in != 0 && reply.sequence >= session.step_said_in) {
    clock_step_ -= session.step_said;  // the controller has it
    session.step_said_in = 0;
  }
  if (reply.lease_ms > 0) {
    parts_.agent.OnLease(from + milliseconds(reply.lease_ms));
  }
}

asio::awaitable<void> Uplink::SendReports(Session& session) {
  co_await session.welcome.Wait();
  if (!session.welcome.is_set()) {
    co_return;  // the session ended before it was one
  }
  bool full = true;
  api::Version version;
  std::optional<api::NetworkReport> told;
  while (true) {
    parts_.agent.changed().Reset();
    parts_.agent.carried_out().Reset();
    std::optional<api::Report> report = parts_.agent.TakeReport(full);
    std::optional<api::NetworkReport> network;
    if (options_.network_report) {
      network = options_.network_report();
    }
    if (network != told) {
      if (!report.has_value()) {
        report.emplace();
        report->version = version;
      }
      report->network = network;
      told = std::move(network);
    }
    if (report.has_value()) {
      version = report->version;
      WebSocketMessage message{.bytes = api::Encode(*report)};
      const absl::Status sent = co_await session.socket->Send(std::move(message));
      if (!sent.ok()) {
        session.socket->Abort();
        co_return;
      }
      full = false;
    }
    co_await parts_.agent.changed().Wait();
    co_await parts_.agent.carried_out().WaitFor(options_.report_delay);
  }
}

// ---- down

void Uplink::OnDesired(Session& session, const api::Desired& desired) {
  const Acceptance accepted = parts_.agent.OnDesired(desired);
  switch (accepted) {
    case Acceptance::kApplied:
      // With movable containers on their way a new lease is asked for at once.
      session.beat_now.Set();
      break;
    case Acceptance::kNeedsFull:
      (void)session.socket->TrySend({.bytes = api::Encode(api::Resync{})});
      break;
    case Acceptance::kOlder:
      log_.Warn("desired_refused", {{"reason", "older than what this node holds"},
                                    {"epoch", desired.version.epoch},
                                    {"generation", desired.version.generation}});
      break;
    case Acceptance::kDuplicate:
      break;
  }
}

asio::awaitable<void> Uplink::RunCommand(Session& session, api::Command command) {
  const WallTime now = time_.At(parts_.clock.Boot());
  api::CommandResult result = co_await parts_.commands.Run(std::move(command), now);
  // When the session has ended meanwhile the controller asks again, and has the same answer.
  (void)session.socket->TrySend({.bytes = api::Encode(result)});
}

}  // namespace bramble::node
