// SPDX-License-Identifier: Apache-2.0
#include "node/network/lan_keeper.h"

#include <algorithm>

#include "base/status.h"
#include "base/undo.h"

namespace bramble::node {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kAnswerWait{300};
constexpr int kAsks = 3;
constexpr milliseconds kTurn{10};
constexpr milliseconds kPortRetry{250};
constexpr int kPortTries = 40;
constexpr size_t kMaxHeard = 1024;
// What a station of ours is never called: made up for the question whether foreign MACs pass.
constexpr uint8_t kForeignFirstByte = 0x06;  // locally administered (IEEE 802)

}  // namespace

LanKeeper::LanKeeper(Parts parts, Options options)
    : parts_(std::move(parts)),
      log_(parts_.log),
      options_(std::move(options)),
      dirty_(parts_.loop),
      claim_due_(parts_.loop),
      scope_(parts_.loop, log_) {}

LanKeeper::~LanKeeper() = default;

BridgeSetting LanKeeper::Setting() const {
  BridgeSetting setting{.bridge = options_.bridge,
                        .port = options_.port,
                        .address = address_,
                        .gateway = options_.gateway,
                        .dropped = dropped_,
                        .routed = routed_};
  if (routed_) {
    setting.containers = containers_;
  }
  return setting;
}

int LanKeeper::Length() const { return options_.prefix.length(); }

void LanKeeper::Changed() {
  if (on_change) {
    on_change();
  }
}

asio::awaitable<void> LanKeeper::Start() {
  started_ = true;
  const bool wireless = !options_.port.empty() && parts_.setup.IsWireless(options_.port);
  routed_ = !options_.port.empty() &&
            (options_.mode == LanMode::kRouted ||
             (options_.mode == LanMode::kAuto && (wireless || options_.was_routed)));
  mode_known_ = options_.mode != LanMode::kAuto || routed_ || options_.port.empty();
  const bool asks = parts_.open_arp != nullptr;
  if (options_.address.has_value()) {
    address_ = options_.address;
  } else if (!asks) {
    address_ = options_.confirmed;
  }
  for (int tries = 0; tries < kPortTries; ++tries) {
    status_ = co_await Apply();
    if (!absl::IsFailedPrecondition(status_)) {
      break;
    }
    co_await SleepFor(kPortRetry);  // after a boot the port may be a moment late
  }
  if (!status_.ok()) {
    log_.Error("network_failed", {{"error", status_}});
    dirty_.Set();
  }
  if (absl::StatusOr<NetworkFacts> facts = co_await parts_.setup.Look(); facts.ok()) {
    facts_ = *std::move(facts);
  }
  Spawn(scope_, "network", KeepApplied());
  if (!asks) {
    Changed();
    co_return;
  }
  OpenChannel();
  if (options_.address.has_value()) {
    StartClaim(options_.address->address, /*firm=*/true, /*held=*/true);
  } else if (options_.confirmed.has_value()) {
    StartClaim(options_.confirmed->address, /*firm=*/false, /*held=*/false);
  } else {
    const LinkFacts* device = facts_.Find(Device());
    for (const Ipv4Interface& address :
         device != nullptr ? device->addresses : std::vector<Ipv4Interface>()) {
      if (!address_.has_value() && options_.prefix.Contains(address.address)) {
        address_ = address;  // somebody else looks after it: a DHCP client, an administrator
      }
    }
    if (!address_.has_value()) {
      self_chosen_ = true;
      StartClaim(std::nullopt, /*firm=*/false, /*held=*/false);
    }
  }
  Changed();
  Spawn(scope_, "node_address", KeepAddress());
  if (!mode_known_) {
    Spawn(scope_, "uplink_mode", FindOutMode());
  }
}

void LanKeeper::OpenChannel() {
  absl::StatusOr<std::unique_ptr<ArpChannel>> opened =
      parts_.open_arp(Device(), PacketArpChannel::Hear::kOwn);
  if (!opened.ok()) {
    log_.Warn("arp_failed", {{"error", opened.status()}});
    return;
  }
  channel_ = *std::move(opened);
  channel_->OnFrame([this](const ArpFrame& frame) {
    if (!mode_known_ && heard_.size() < kMaxHeard && !frame.sender.empty()) {
      heard_.insert(frame.sender);
    }
    if (claim_.has_value()) {
      claim_->OnFrame(frame, parts_.clock.Boot());
      claim_due_.Set();
    }
    if (on_arp) {
      on_arp(frame);
    }
  });
}

// ---- the kernel's settings

// One at a time: what is to be changed is found by looking at what there is.
asio::awaitable<absl::Status> LanKeeper::Apply() {
  while (applying_) {
    co_await SleepFor(kTurn);
  }
  applying_ = true;
  Undo done;
  done.Add([this] { applying_ = false; });
  BridgeSetting setting = Setting();
  co_return co_await parts_.setup.Apply(std::move(setting));
}

asio::awaitable<void> LanKeeper::KeepApplied() {
  while (true) {
    co_await dirty_.Wait();
    dirty_.Reset();
    const absl::Status applied = co_await Apply();
    if (!applied.ok()) {
      if (status_.ok()) {
        log_.Error("network_failed", {{"error", applied}});
      }
      status_ = applied;
      Changed();
      co_await SleepFor(options_.retry);
      dirty_.Set();
      continue;
    }
    status_ = applied;
    if (absl::StatusOr<NetworkFacts> facts = co_await parts_.setup.Look(); facts.ok()) {
      facts_ = *std::move(facts);
    }
    Changed();
  }
}

// ---- the address

void LanKeeper::StartClaim(std::optional<Ipv4> preferred, bool firm, bool held) {
  if (channel_ == nullptr) {
    if (preferred.has_value()) {
      TakeAddress(Ipv4Interface{.address = *preferred, .length = Length()});
    }
    return;
  }
  AddressClaim::Options options;
  options.mac = channel_->mac();
  options.serial = options_.serial;
  options.range = NodeRangeOf(options_.prefix);
  options.preferred = preferred;
  options.firm = firm;
  options.held = held;
  claim_.emplace(std::move(options));
  claim_due_.Set();
}

// Deals with what the claim says now.
void LanKeeper::AfterClaim() {
  const std::optional<Ipv4> held = claim_->address();
  const std::optional<Ipv4> before =
      address_.has_value() ? std::optional(address_->address) : std::nullopt;
  if (held.has_value() && held != before) {
    const bool confirmed =
        (options_.confirmed.has_value() && options_.confirmed->address == *held) ||
        (options_.address.has_value() && options_.address->address == *held);
    self_chosen_ = !confirmed;
    log_.Info(confirmed ? "address_taken" : "address_chosen", {{"address", *held}});
    TakeAddress(Ipv4Interface{.address = *held, .length = Length()});
  } else if (!held.has_value() && before.has_value() && claim_->rival().has_value()) {
    // Another has it: to use it on would take it from both.
    log_.Error("address_lost", {{"address", *before}, {"mac", *claim_->rival()}});
    dropped_.push_back(*address_);
    address_.reset();
    dirty_.Set();
    Changed();
  }
}

void LanKeeper::TakeAddress(std::optional<Ipv4Interface> address) {
  if (address_.has_value() && address_ != address) {
    old_.push_back(
        {.address = *address_, .until = parts_.clock.Boot() + options_.old_address_kept});
  }
  address_ = address;
  std::erase_if(old_, [&](const Old& old) { return old.address == *address_; });
  std::erase(dropped_, *address_);
  dirty_.Set();
  Changed();
}

asio::awaitable<void> LanKeeper::KeepAddress() {
  while (true) {
    claim_due_.Reset();
    const BootTime now = parts_.clock.Boot();
    if (claim_.has_value() && channel_ != nullptr) {
      const bool had_rival = claim_->rival().has_value();
      for (const ArpFrame& frame : claim_->Poll(now)) {
        (void)channel_->Send(frame);  // a link that is down: asked again when it is up
      }
      AfterClaim();
      if (had_rival != claim_->rival().has_value()) {
        Changed();
      }
    }
    for (const Old& old : old_) {
      if (now >= old.until) {
        dropped_.push_back(old.address);
        dirty_.Set();
      }
    }
    std::erase_if(old_, [now](const Old& old) { return now >= old.until; });
    std::chrono::nanoseconds wait = std::chrono::seconds(30);
    if (claim_.has_value() && claim_->NextWake().has_value()) {
      wait = std::clamp<std::chrono::nanoseconds>(*claim_->NextWake() - now, milliseconds(1), wait);
    }
    (void)co_await claim_due_.WaitFor(std::chrono::duration_cast<LoopDuration>(wait));
  }
}

void LanKeeper::SetConfirmed(Ipv4Interface address, Ipv4Prefix prefix) {
  if (prefix.length() > 0) {
    options_.prefix = prefix;
  } else {
    options_.prefix = address.prefix();
  }
  if (address.address.empty() || options_.confirmed == address) {
    return;
  }
  options_.confirmed = address;
  if (!started_ || options_.address.has_value()) {
    return;  // a person's word on this node comes first
  }
  if (address_ == address) {
    self_chosen_ = false;
    Changed();
    return;
  }
  if (parts_.open_arp == nullptr) {
    TakeAddress(address);
    return;
  }
  StartClaim(address.address, /*firm=*/false, /*held=*/false);
}

void LanKeeper::SetController(Ipv4 address) { controller_ = address; }

void LanKeeper::SetContainers(std::vector<Ipv4> addresses) {
  std::sort(addresses.begin(), addresses.end());
  if (containers_ != addresses) {
    containers_ = std::move(addresses);
    if (routed_) {
      dirty_.Set();
    }
  }
}

void LanKeeper::OnLink(const LinkChange& change) {
  if (change.name != options_.port) {
    return;
  }
  const bool was_up = std::exchange(link_up_, change.running && !change.gone);
  if (link_up_ && !was_up) {
    log_.Info("link_up", {{"port", options_.port}});
    if (claim_.has_value()) {
      claim_->OnLinkUp(parts_.clock.Boot());
      claim_due_.Set();
    }
    dirty_.Set();  // an interface that went and came again is in no bridge
    if (on_link_up) {
      on_link_up();
    }
  } else if (was_up && !link_up_) {
    log_.Warn("link_down", {{"port", options_.port}});
  }
  if (was_up != link_up_) {
    Changed();
  }
}

void LanKeeper::Announce(MacAddress mac, Ipv4 address) {
  if (channel_ == nullptr) {
    return;
  }
  // Routed, the node's own MAC stands for its containers.
  const absl::Status sent =
      channel_->Send(ArpAnnouncement(routed_ ? channel_->mac() : mac, address));
  if (!sent.ok()) {
    log_.Warn("announcement_failed", {{"address", address}, {"error", sent}});
  }
}

// ---- bridged or routed

asio::awaitable<void> LanKeeper::FindOutMode() {
  while (!mode_known_) {
    const std::optional<bool> takes = co_await TakesForeignMacs();
    if (takes.has_value()) {
      mode_known_ = true;
      routed_ = !*takes;
      if (!routed_) {
        heard_.clear();
      }
      break;
    }
    co_await SleepFor(options_.uplink_check);
  }
  if (!routed_) {
    co_return;
  }
  log_.Warn("uplink_routed", {{"port", options_.port},
                              {"reason", "it passes no frames from other MACs than its own"}});
  if (on_routed) {
    on_routed();
  }
  status_ = co_await Apply();
  if (!status_.ok()) {
    log_.Error("network_failed", {{"error", status_}});
  }
  OpenChannel();
  if (address_.has_value()) {
    StartClaim(address_->address, options_.address.has_value(), /*held=*/true);
  }
  StandInForTheLan();
  dirty_.Set();
  Changed();
}

// Containers that ran while the port was in the bridge learned the MACs of the LAN's stations from
// their broadcasts, and would send to them in vain until they ask anew, which takes them 10 s.
// None of those stations could learn a container's MAC, so what they sent was all broadcast, and
// heard here too.
void LanKeeper::StandInForTheLan() {
  absl::StatusOr<std::unique_ptr<ArpChannel>> bridge =
      parts_.open_arp(options_.bridge, PacketArpChannel::Hear::kOwn);
  if (!bridge.ok()) {
    log_.Warn("arp_failed", {{"error", bridge.status()}});
    return;
  }
  const std::vector<Ipv4> targets = MacTargets();
  heard_.insert(targets.begin(), targets.end());
  for (const Ipv4 station : heard_) {
    if (address_.has_value() && address_->address == station) {
      continue;
    }
    if (std::binary_search(containers_.begin(), containers_.end(), station)) {
      continue;
    }
    // One that is lost costs what it would have saved.
    (void)(*bridge)->Send(ArpAnnouncement((*bridge)->mac(), station));
  }
  heard_.clear();
}

std::vector<Ipv4> LanKeeper::MacTargets() const {
  std::vector<Ipv4> targets;
  for (const Ipv4 target : {controller_, options_.gateway}) {
    if (!target.empty()) {
      targets.push_back(target);
    }
  }
  for (const RouteFacts& route : facts_.default_routes) {
    if (!route.gateway.empty() && route.device == Device()) {
      targets.push_back(route.gateway);
    }
  }
  return targets;
}

// Asks the controller and the gateway for their MAC, once in our own name and once in a name that
// nobody has.  nullopt: nobody answered in our own name either.
asio::awaitable<std::optional<bool>> LanKeeper::TakesForeignMacs() {
  const std::vector<Ipv4> targets = MacTargets();
  if (targets.empty()) {
    co_return std::nullopt;
  }
  absl::StatusOr<std::unique_ptr<ArpChannel>> channel =
      parts_.open_arp(options_.port, PacketArpChannel::Hear::kEverything);
  if (!channel.ok()) {
    co_return std::nullopt;
  }
  const MacAddress own = (*channel)->mac();
  MacAddress foreign = own;
  foreign.bytes[0] = kForeignFirstByte;
  std::swap(foreign.bytes[3], foreign.bytes[5]);
  bool own_answered = false;
  bool foreign_answered = false;
  (*channel)->OnFrame([&](const ArpFrame& frame) {
    const bool asked = std::find(targets.begin(), targets.end(), frame.sender) != targets.end();
    own_answered = own_answered || (asked && frame.target_mac == own);
    foreign_answered = foreign_answered || (asked && frame.target_mac == foreign);
  });
  for (int i = 0; i < kAsks && !foreign_answered; ++i) {
    for (const Ipv4 target : targets) {
      // Probes: they bind no address to the made-up MAC in anybody's cache.
      (void)(*channel)->Send(ArpProbe(own, target));
      (void)(*channel)->Send(ArpProbe(foreign, target));
    }
    co_await SleepFor(kAnswerWait);
  }
  (*channel)->OnFrame(nullptr);
  if (foreign_answered) {
    co_return true;
  }
  co_return own_answered ? std::optional(false) : std::nullopt;
}

// ---- what is told

void LanKeeper::FillReport(api::NetworkReport& report) const {
  report.mode = options_.port.empty() ? api::UplinkMode::kNone
                : routed_             ? api::UplinkMode::kRouted
                                      : api::UplinkMode::kBridged;
  report.uplink = options_.port;
  report.address = address_.value_or(Ipv4Interface());
  report.self_chosen = self_chosen_;
  report.link_up = link_up_;
  if (const LinkFacts* device = facts_.Find(Device()); device != nullptr) {
    report.mtu = device->mtu;
  }
  for (const RouteFacts& route : facts_.default_routes) {
    if (report.default_gateway.empty()) {
      report.default_gateway = route.gateway;
    }
  }
  if (claim_.has_value() && claim_->rival().has_value() && address_.has_value()) {
    report.conflicts.push_back({.address = address_->address, .mac = claim_->rival()->str()});
  }
  if (!status_.ok()) {
    report.errors.push_back(std::string(MessageOf(status_)));
  }
}

std::vector<api::Condition> LanKeeper::conditions() const {
  std::vector<api::Condition> conditions;
  if (!status_.ok()) {
    conditions.push_back({.type = "network-failed",
                          .severity = "critical",
                          .message = std::string(MessageOf(status_))});
  }
  if (claim_.has_value() && claim_->rival().has_value() && address_.has_value()) {
    conditions.push_back(
        {.type = "address-conflict",
         .severity = "critical",
         .message = StrCat("another station, ", claim_->rival()->str(), ", uses ",
                           address_->address.str(), ", the address of this node")});
  }
  return conditions;
}

}  // namespace bramble::node
