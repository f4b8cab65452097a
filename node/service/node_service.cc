// SPDX-License-Identifier: Apache-2.0
#include "node/service/node_service.h"

#include "base/file.h"
#include "base/status.h"
#include "node/health/out_of_memory.h"

namespace bramble::node {
namespace {

constexpr std::chrono::seconds kNetworkJournalPause{2};  // many changes are one write to the card
constexpr std::chrono::seconds kNetworkJournalRetry{10};
constexpr std::chrono::seconds kRuntimeRetry{2};
constexpr int kRuntimeTries = 30;
constexpr std::chrono::minutes kDiskCheck{10};
constexpr char kCgroupRoot[] = "bramble";   // as LxcRuntime's default is
constexpr int64_t kDiskLowPercent = 15;     // free: below this images go
constexpr int64_t kDiskWantedPercent = 20;  // until so much is

AgentCore::Options CoreOptions(const NodeConfig& config) {
  AgentCore::Options options;
  options.max_starts = static_cast<size_t>(config.max_starts);
  return options;
}

Agent::Options AgentOptions(const NodeConfig& config, const KernelRoots& roots,
                            std::function<std::string(const ContainerId&)> cgroup_of) {
  // The first range of ids is the images'.
  return {.core = CoreOptions(config),
          .bridge = config.network.bridge,
          .id_first = static_cast<uint32_t>(config.id_first) + IdRange::kCount,
          .id_ranges = static_cast<uint32_t>(config.id_ranges) - 1,
          .boot_id = ReadBootId(roots),
          .cgroup_of = std::move(cgroup_of)};
}

LanKeeper::Options LanOptions(const NodeConfig& config, const KernelRoots& roots,
                              const NodePaths& paths) {
  LanKeeper::Options options;
  options.bridge = config.network.bridge;
  options.port = config.network.port;
  options.mode = config.network.uplink == "routed"    ? LanMode::kRouted
                 : config.network.uplink == "bridged" ? LanMode::kBridged
                                                      : LanMode::kAuto;
  if (!config.network.address.address.empty()) {
    options.address = config.network.address;
  }
  options.gateway = config.network.gateway;
  options.prefix = config.network.prefix;
  options.serial = ReadInventory(InventoryOfThisMachine(roots, config.state_dir)).serial;
  std::error_code ignored;
  options.was_routed = std::filesystem::exists(paths.UplinkRouted(), ignored);
  return options;
}

}  // namespace

NodeService::NodeService(Parts parts, NodeConfig config, PrivateKey key)
    : loop_(parts.loop),
      clock_(parts.clock),
      config_(std::move(config)),
      paths_{.state = config_.state_dir, .run = config_.run_dir},
      roots_{.proc = config_.proc_dir, .sys = config_.sys_dir},
      gpio_(parts.gpio),
      log_(parts.log),
      journal_(parts.disk, paths_),
      board_(loop_),
      source_(access_, board_, disk_lane_, BlobSource::Options(), log_),
      leases_(loop_, paths_.LeaseSocket(), roots_.proc, log_),
      lan_({.loop = loop_,
            .clock = clock_,
            .setup = parts.network,
            .open_arp = config_.network.manage ? parts.open_arp : nullptr,
            .log = log_},
           LanOptions(config_, roots_, paths_)),
      network_({.loop = loop_,
                .clock = clock_,
                .filter = parts.filter,
                .ports = parts.ports,
                .names = parts.names,
                .announce = [this](MacAddress mac, Ipv4 address) { lan_.Announce(mac, address); },
                .log = log_}),
      agent_({.loop = loop_,
              .clock = clock_,
              .runtime = parts.runtime,
              .access = parts.access,
              .images = parts.images,
              .source = source_,
              .leases = leases_,
              .network = network_,
              .journal = journal_,
              .disk = disk_lane_,
              .log = log_},
             AgentOptions(config_, roots_, std::move(parts.cgroup_of))),
      streams_(loop_, access_, parts.access, agent_, log_),
      commands_(parts.runtime, parts.indicator, parts.machine, log_),
      uplink_({.loop = loop_,
               .clock = clock_,
               .random = parts.random,
               .agent = agent_,
               .journal = journal_,
               .disk = disk_lane_,
               .access = access_,
               .streams = streams_,
               .commands = commands_,
               .log = log_},
              UplinkOptions(parts, std::move(key))),
      blobs_({.loop = loop_,
              .board = board_,
              .images = parts.images,
              .disk = disk_lane_,
              .now = [this] { return uplink_.SignedNow(); },
              .log = log_},
             BlobServer::Options()),
      status_(
          loop_, paths_.StatusSocket(), [this] { return StatusText(); }, log_),
      network_dirty_(loop_),
      scope_(loop_, log_) {
  lan_.on_change = [this] { OnLanChange(); };
  lan_.on_arp = [this](const ArpFrame& frame) { network_.OnArp(frame); };
  lan_.on_link_up = [this] { network_.AnnounceAll(); };
  lan_.on_routed = [this] {
    const absl::Status kept = WriteFileAtomically(paths_.UplinkRouted(), "");
    if (!kept.ok()) {
      log_.Warn("uplink_not_remembered", {{"error", kept}});
    }
  };
  leases_.SetListener([this](bool present, std::optional<BootTime> until) {
    agent_.OnLeaseHolder(present, until);
  });
}

NodeService::~NodeService() = default;

Uplink::Options NodeService::UplinkOptions(const Parts& parts, PrivateKey key) {
  Uplink::Options options;
  options.time_floor = parts.time_floor;
  options.wall_setter = parts.wall_setter;
  options.key = std::move(key);
  options.reconnect = {.start = config_.start_jitter, .most = config_.reconnect_max};
  options.hostname = config_.name;
  options.join_token = config_.join_token;
  options.controllers = config_.controllers;
  options.labels = config_.labels;
  options.address = [this] {
    return lan_.address().has_value() ? lan_.address()->address.str() : std::string();
  };
  options.inventory = [this] {
    api::Inventory inventory = ReadInventory(InventoryOfThisMachine(roots_, config_.state_dir));
    inventory.gpio_chips = gpio_.List();
    return inventory;
  };
  options.conditions = [this] { return Conditions(); };
  options.on_address = [this](const std::string& address) {
    if (const auto confirmed = Ipv4Interface::Parse(address); confirmed.ok()) {
      OnConfirmed(*confirmed, confirmed->prefix());
    }
    const auto target = HostPort::Parse(uplink_.state().controller, kControllerPort);
    if (const auto controller = Ipv4::Parse(target.ok() ? target->host : ""); controller.ok()) {
      lan_.SetController(*controller);
    }
  };
  options.on_identity = [this](PeerIdentity identity) {
    source_.SetIdentity(identity);
    blobs_.SetIdentity(std::move(identity));
  };
  options.on_network = [this](api::NodeNetwork network) { OnNetwork(std::move(network)); };
  options.on_names = [this](api::Names names) { OnNames(std::move(names)); };
  options.network_report = [this] { return NetworkReport(); };
  return options;
}

asio::awaitable<absl::Status> NodeService::Start() {
  const absl::Status run = MakeDirectories(paths_.run, 0711);
  if (!run.ok()) {
    co_return run;
  }
  const absl::Status opened = journal_.Open();
  if (!opened.ok()) {
    co_return opened;
  }
  co_await StartNetwork();
  absl::Status started;
  for (int tries = 0; tries < kRuntimeTries; ++tries) {
    started = co_await agent_.Start();
    if (started.ok()) {
      break;
    }
    log_.Error("runtime_failed", {{"error", started}});
    co_await SleepFor(kRuntimeRetry);
  }
  if (!started.ok()) {
    co_return started;
  }
  if (absl::Status listening = status_.Listen(); listening.ok()) {
    Spawn(scope_, "status", status_.Run());
  } else {
    log_.Warn("status_socket_failed", {{"error", listening}});
  }
  Spawn(scope_, "lease_client", leases_.Run());
  Spawn(scope_, "uplink", uplink_.Run());
  Spawn(scope_, "blobs", blobs_.Run());
  Spawn(scope_, "disk_free", KeepDiskFree());
  co_return absl::OkStatus();
}

asio::awaitable<void> NodeService::Stop() {
  co_await scope_.Join();
  co_await uplink_.Stop();
  co_await blobs_.Stop();
  co_await streams_.Stop();
  co_await agent_.Stop();
}

asio::awaitable<absl::Status> NodeService::Join() {
  const absl::Status opened = journal_.Open();
  if (!opened.ok()) {
    co_return opened;
  }
  co_return co_await uplink_.JoinOnly();
}

// ---- the network

asio::awaitable<void> NodeService::StartNetwork() {
  if (auto network = journal_.LoadNetwork(); network.ok() && network->has_value()) {
    network_.SetNetwork(**std::move(network));
  } else if (!network.ok()) {
    log_.Error("journal_lost", {{"error", network.status()}});
  }
  if (auto names = journal_.LoadNames(); names.ok() && names->has_value()) {
    network_.SetNames(**std::move(names));
  } else if (!names.ok()) {
    log_.Error("journal_lost", {{"error", names.status()}});
  }
  if (const auto identity = journal_.LoadIdentity(); identity.ok() && identity->has_value()) {
    if (const auto address = Ipv4Interface::Parse((*identity)->address); address.ok()) {
      lan_.SetConfirmed(*address, address->prefix());
    }
  }
  if (config_.network.manage) {
    // Containers need the bridge, so the first try comes before they start.
    co_await lan_.Start();
    absl::StatusOr<std::unique_ptr<LinkWatch>> links = LinkWatch::Open(
        loop_,
        [this](const LinkChange& change) {
          lan_.OnLink(change);
          if (change.unknown || change.name.starts_with(kHostInterfacePrefix)) {
            network_.OnPortChange();
          }
        },
        log_);
    if (links.ok()) {
      links_ = *std::move(links);
    } else {
      log_.Warn("links_not_watched", {{"error", links.status()}});
    }
  } else if (!config_.network.address.address.empty()) {
    network_.SetOwnAddress(config_.network.address.address);
    blobs_.SetAddress(config_.network.address.address);
  }
  network_dirty_.Reset();
  Spawn(scope_, "network_journal", KeepNetworkJournal());
}

void NodeService::OnConfirmed(Ipv4Interface address, Ipv4Prefix prefix) {
  if (config_.network.manage) {
    lan_.SetConfirmed(address, prefix);
  }
}

void NodeService::OnNetwork(api::NodeNetwork network) {
  if (!network_.SetNetwork(std::move(network))) {
    return;
  }
  const api::NodeNetwork& now = *network_.network();
  if (!now.controllers.empty()) {
    lan_.SetController(now.controllers.front());
  }
  OnConfirmed(now.address, now.prefix);
  network_dirty_.Set();
}

void NodeService::OnNames(api::Names names) {
  if (network_.SetNames(std::move(names))) {
    network_dirty_.Set();
  }
}

void NodeService::OnLanChange() {
  network_.SetOwnAddress(lan_.address().value_or(Ipv4Interface()).address);
  blobs_.SetAddress(lan_.address().value_or(Ipv4Interface()).address);
  agent_.changed().Set();
}

api::NetworkReport NodeService::NetworkReport() const {
  api::NetworkReport report;
  lan_.FillReport(report);
  network_.FillReport(report);
  if (!network_journal_status_.ok()) {
    report.errors.push_back(
        StrCat("the journal cannot be written: ", MessageOf(network_journal_status_)));
  }
  return report;
}

// Writes what the controller said, and carries what follows from it to the rest of the node.
asio::awaitable<void> NodeService::KeepNetworkJournal() {
  while (true) {
    network_.changed().Reset();
    lan_.SetContainers(network_.addresses());
    agent_.changed().Set();
    if (network_dirty_.is_set()) {
      network_dirty_.Reset();
      auto save = [this, network = network_.network(), names = network_.names()] {
        absl::Status saved =
            network.has_value() ? journal_.SaveNetwork(*network) : absl::OkStatus();
        if (saved.ok() && names.has_value()) {
          saved = journal_.SaveNames(*names);
        }
        return saved;
      };
      const absl::Status saved = co_await disk_lane_.Run(std::move(save));
      if (saved.ok() != network_journal_status_.ok()) {
        saved.ok() ? log_.Info("journal_works_again")
                   : log_.Error("journal_failed", {{"error", saved}});
      }
      network_journal_status_ = saved;
      if (!saved.ok()) {
        network_dirty_.Set();
        co_await SleepFor(kNetworkJournalRetry);
        continue;
      }
      co_await SleepFor(kNetworkJournalPause);
      continue;
    }
    co_await network_.changed().Wait();
  }
}

asio::awaitable<void> NodeService::KeepDiskFree() {
  while (true) {
    const std::optional<DiskSpace> disk = ReadDiskSpace(config_.state_dir);
    if (disk.has_value() && disk->free.count < disk->size.count / 100 * kDiskLowPercent) {
      const Bytes needed{disk->size.count / 100 * kDiskWantedPercent - disk->free.count};
      const absl::Status collected = co_await agent_.CollectImages(needed);
      if (!collected.ok()) {
        log_.Warn("images_not_collected", {{"error", collected}});
      }
    }
    co_await SleepFor(kDiskCheck);
  }
}

std::vector<api::Condition> NodeService::Conditions() const {
  std::vector<api::Condition> conditions = ReadConditions(roots_, ReadDiskSpace(config_.state_dir));
  for (api::Condition& condition : lan_.conditions()) {
    conditions.push_back(std::move(condition));
  }
  api::NetworkReport report;
  network_.FillReport(report);
  for (const std::string& error : report.errors) {
    conditions.push_back(
        {.type = "container-network-failed", .severity = "critical", .message = error});
  }
  const std::set<ContainerId> starved = ReadOutOfMemory(roots_, kCgroupRoot);
  for (const api::ObservedContainer& container : agent_.Observe()) {
    if (starved.contains(container.id)) {
      conditions.push_back(
          {.type = "out-of-memory",
           .severity = "info",
           .message = StrCat("container \"", container.name.str(),
                             "\" ran out of memory and the kernel ended processes of it; give it "
                             "more: bramble container limits ",
                             container.name.str(), " --memory SIZE")});
    }
  }
  return conditions;
}

std::string NodeService::StatusText() const {
  const UplinkState& uplink = uplink_.state();
  json::array containers;
  for (const api::ObservedContainer& container : agent_.Observe()) {
    containers.push_back(api::ToJson(container));
  }
  json::array conditions;
  for (const api::Condition& condition : Conditions()) {
    conditions.push_back(api::ToJson(condition));
  }
  for (const api::Condition& condition : agent_.conditions()) {
    conditions.push_back(api::ToJson(condition));
  }
  const json::object status = {
      {"version", BRAMBLE_VERSION},
      {"node", {{"id", uplink.node_id.str()}, {"name", uplink.name.str()}}},
      {"controller",
       {{"state", kUplinkPhaseNames[static_cast<size_t>(uplink.phase)]},
        {"address", uplink.controller},
        {"code", uplink.code},
        {"reason", uplink.reason}}},
      {"epoch", agent_.version().epoch},
      {"generation", agent_.version().generation},
      {"containers", std::move(containers)},
      {"conditions", std::move(conditions)},
      {"image_bytes",
       {{"from_controller", board_.counters.from_controller},
        {"from_neighbours", board_.counters.from_neighbours},
        {"to_neighbours", board_.counters.to_neighbours}}}};
  return json::serialize(status);
}

}  // namespace bramble::node
