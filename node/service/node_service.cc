// SPDX-License-Identifier: Apache-2.0
#include "node/service/node_service.h"

#include "base/file.h"
#include "base/status.h"
#include "node/health/out_of_memory.h"

namespace bramble::node {
namespace {

constexpr std::chrono::seconds kNetworkRetry{10};
constexpr std::chrono::milliseconds kPortRetry{250};
constexpr int kPortTries = 40;
constexpr std::chrono::seconds kRuntimeRetry{2};
constexpr int kRuntimeTries = 30;
constexpr std::chrono::minutes kDiskCheck{10};
constexpr char kCgroupRoot[] = "bramble";  // as LxcRuntime's default is
constexpr int64_t kDiskLowPercent = 15;    // unused images go below this

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

}  // namespace

NodeService::NodeService(Parts parts, NodeConfig config, PrivateKey key)
    : loop_(parts.loop),
      clock_(parts.clock),
      network_(parts.network),
      config_(std::move(config)),
      paths_{.state = config_.state_dir, .run = config_.run_dir},
      roots_{.proc = config_.proc_dir, .sys = config_.sys_dir},
      log_(parts.log),
      journal_(parts.disk, paths_),
      source_(access_, disk_lane_, log_),
      leases_(loop_, paths_.LeaseSocket(), roots_.proc, log_),
      agent_({.loop = loop_,
              .clock = clock_,
              .runtime = parts.runtime,
              .images = parts.images,
              .source = source_,
              .leases = leases_,
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
      status_(
          loop_, paths_.StatusSocket(), [this] { return StatusText(); }, log_),
      network_dirty_(loop_),
      scope_(loop_, log_) {
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
  if (!config_.network.address.address.empty()) {
    options.address = config_.network.address.address.str();
  }
  options.inventory = [this] {
    return ReadInventory(InventoryOfThisMachine(roots_, config_.state_dir));
  };
  options.conditions = [this] { return Conditions(); };
  options.on_address = [this](const std::string& address) {
    if (!address.empty() && address != confirmed_address_) {
      confirmed_address_ = address;
      network_dirty_.Set();
    }
  };
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
  if (const auto identity = journal_.LoadIdentity(); identity.ok() && identity->has_value()) {
    confirmed_address_ = (*identity)->address;
  }
  if (config_.network.manage) {
    // Containers need the bridge, so the first try comes before they start.
    for (int tries = 0; tries < kPortTries; ++tries) {
      network_status_ = co_await network_.Apply(Bridge());
      if (!absl::IsFailedPrecondition(network_status_)) {
        break;
      }
      co_await SleepFor(kPortRetry);  // after a boot the port may be a moment late
    }
    if (!network_status_.ok()) {
      log_.Error("network_failed", {{"error", network_status_}});
      network_dirty_.Set();
    }
    Spawn(scope_, "network", KeepNetwork());
  }
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
  Spawn(scope_, "disk_free", KeepDiskFree());
  co_return absl::OkStatus();
}

asio::awaitable<void> NodeService::Stop() {
  co_await scope_.Join();
  co_await uplink_.Stop();
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

// What is set in the configuration, else what the controller said.
BridgeSetting NodeService::Bridge() const {
  BridgeSetting setting{.bridge = config_.network.bridge,
                        .port = config_.network.port,
                        .gateway = config_.network.gateway};
  if (!config_.network.address.address.empty()) {
    setting.address = config_.network.address;
  } else if (const auto address = Ipv4Interface::Parse(confirmed_address_); address.ok()) {
    setting.address = *address;
  }
  return setting;
}

asio::awaitable<void> NodeService::KeepNetwork() {
  while (true) {
    co_await network_dirty_.Wait();
    network_dirty_.Reset();
    const absl::Status applied = co_await network_.Apply(Bridge());
    if (!applied.ok()) {
      if (network_status_.ok()) {
        log_.Error("network_failed", {{"error", applied}});
      }
      network_dirty_.Set();
      co_await SleepFor(kNetworkRetry);
    }
    network_status_ = applied;
  }
}

asio::awaitable<void> NodeService::KeepDiskFree() {
  while (true) {
    const std::optional<DiskSpace> disk = ReadDiskSpace(config_.state_dir);
    if (disk.has_value() && disk->free.count < disk->size.count / 100 * kDiskLowPercent) {
      const absl::Status collected = co_await agent_.CollectImages();
      if (!collected.ok()) {
        log_.Warn("images_not_collected", {{"error", collected}});
      }
    }
    co_await SleepFor(kDiskCheck);
  }
}

std::vector<api::Condition> NodeService::Conditions() const {
  std::vector<api::Condition> conditions = ReadConditions(roots_, ReadDiskSpace(config_.state_dir));
  if (!network_status_.ok()) {
    conditions.push_back({.type = "network-failed",
                          .severity = "critical",
                          .message = std::string(MessageOf(network_status_))});
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
      {"conditions", std::move(conditions)}};
  return json::serialize(status);
}

}  // namespace bramble::node
