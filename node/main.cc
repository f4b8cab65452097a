// SPDX-License-Identifier: Apache-2.0
// bramble-node: the map of the program.  Everything is built here, by hand, in order.
#include <malloc.h>
#include <unistd.h>

#include <cstdio>

#include "base/async_subprocess.h"
#include "base/file.h"
#include "base/notify.h"
#include "base/run_on_loop.h"
#include "base/signals.h"
#include "base/status.h"
#include "node/clock/wall_setter.h"
#include "node/flags.h"
#include "node/health/gpio.h"
#include "node/health/indicator.h"
#include "node/images/disk_image_cache.h"
#include "node/network/name_servers.h"
#include "node/runtime/apparmor.h"
#include "node/runtime/cgroup_mounts.h"
#include "node/runtime/lxc_config.h"
#include "node/runtime/lxc_runtime.h"
#include "node/service/memory_trim.h"
#include "node/service/node_service.h"
#include "node/service/status_text.h"

namespace bramble::node {
namespace {

constexpr int kFailed = 1;
constexpr int kMisuse = 2;
constexpr size_t kMaxTokenFileBytes = 8192;
constexpr size_t kMaxStatusBytes = 8 << 20;
constexpr std::chrono::seconds kTrimAfter{20};
constexpr std::chrono::seconds kTrimEvery{60};

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "bramble-node: %s\n", std::string(MessageOf(status)).c_str());
  return kFailed;
}

// Whoever asks is told; the service that does not start says what to do, for it is not started
// again.
int FailToConfigure(const absl::Status& status, const NodeFlags& flags) {
  if (flags.verb == NodeFlags::Verb::kRun && !flags.check_config) {
    return RefuseConfiguration("bramble-node", flags.config, status);
  }
  Fail(status);
  return ExitCodeOf(status);
}

// A small machine pays for every page: one arena, and freed memory goes back to the kernel.
void KeepMemorySmall() {
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_TRIM_THRESHOLD, 64 * 1024);
  mallopt(M_MMAP_THRESHOLD, 64 * 1024);
}

std::string HostName() {
  char name[256] = {};
  gethostname(name, sizeof(name) - 1);
  const std::string_view text(name);
  return std::string(text.substr(0, text.find('.')));
}

// Beside bramble-node (a build tree), else where the package puts helpers.
std::filesystem::path FindLibexec() {
  std::error_code ignored;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", ignored);
  const std::filesystem::path beside = self.parent_path();
  return std::filesystem::exists(beside / "bramble-runtime", ignored)
             ? beside
             : beside.parent_path() / "libexec/bramble";
}

// A file of config/lxc/, beside the helpers (a build tree), else where the package puts it.
absl::StatusOr<std::filesystem::path> FindShipped(const std::filesystem::path& libexec,
                                                  const char* name) {
  std::error_code ignored;
  const std::filesystem::path beside = libexec / name;
  const std::filesystem::path shared = libexec.parent_path().parent_path() / "share/bramble" / name;
  for (const std::filesystem::path& path : {beside, shared}) {
    if (std::filesystem::exists(path, ignored)) {
      return path;
    }
  }
  return absl::NotFoundError(StrCat(name, ": neither ", beside.string(), " nor ", shared.string(),
                                    " exists: no container starts without it"));
}

absl::StatusOr<NodeConfig> LoadConfig(const NodeFlags& flags) {
  BRAMBLE_ASSIGN_OR_RETURN(const ConfigFile file, ConfigFile::Load(flags.config));
  BRAMBLE_ASSIGN_OR_RETURN(NodeConfig config, ParseNodeConfig(file));
  flags.ApplyTo(config);
  if (config.name.empty()) {
    config.name = HostName();
  }
  if (config.libexec_dir.empty()) {
    config.libexec_dir = FindLibexec();
  }
  LogLevel ignored = LogLevel::kInfo;
  BRAMBLE_RETURN_IF_ERROR(ParseLogLevel(config.log_level, ignored));
  return config;
}

absl::Status ReadJoinToken(NodeConfig& config) {
  if (config.join_token_file.empty()) {
    return absl::OkStatus();
  }
  absl::StatusOr<std::string> token = ReadFile(config.join_token_file, kMaxTokenFileBytes);
  if (absl::IsNotFound(token.status())) {
    return absl::OkStatus();  // taken away once the node had joined
  }
  BRAMBLE_RETURN_IF_ERROR(token.status());
  token->erase(token->find_last_not_of(" \r\n\t") + 1);
  config.join_token = *std::move(token);
  return absl::OkStatus();
}

int ShowStatus(const NodeConfig& config, bool as_json) {
  const NodePaths paths{.state = config.state_dir, .run = config.run_dir};
  const absl::StatusOr<std::string> text = AskStatus(paths.StatusSocket());
  if (!text.ok()) {
    return Fail(text.status());
  }
  if (as_json) {
    std::puts(text->c_str());
    return 0;
  }
  const absl::StatusOr<json::value> value = ParseJson(*text, kMaxStatusBytes);
  if (!value.ok()) {
    return Fail(value.status());
  }
  std::fputs(FormatStatus(*value).c_str(), stdout);
  return 0;
}

asio::awaitable<absl::Status> RunMachine(std::string verb) {
  Command command{.argv = {"systemctl", verb}};
  const Command kept = command;
  absl::StatusOr<CommandResult> result = co_await RunCommandAsync(std::move(command));
  if (!result.ok()) {
    co_return result.status();
  }
  co_return CheckOk(kept, *result);
}

asio::awaitable<void> FeedWatchdog(std::chrono::microseconds interval) {
  while (true) {
    ServiceNotifier().Watchdog();
    co_await SleepFor(interval);
  }
}

// What starting up needed, or an order, and nothing needs any more.
asio::awaitable<void> KeepTrimming() {
  co_await SleepFor(kTrimAfter);
  while (true) {
    TrimMemory();
    co_await SleepFor(kTrimEvery);
  }
}

asio::awaitable<absl::Status> Serve(asio::io_context& loop, NodeService& service, Scope& scope) {
  StopSignals stop(loop);
  const absl::Status started = co_await service.Start();
  if (!started.ok()) {
    co_return started;
  }
  ServiceNotifier().Ready();
  if (const auto interval = ServiceNotifier::WatchdogInterval(); interval.has_value()) {
    Spawn(scope, "watchdog", FeedWatchdog(*interval));
  }
  Spawn(scope, "trim", KeepTrimming());
  co_await stop.Wait();
  ServiceNotifier().Stopping();
  co_await service.Stop();
  co_return absl::OkStatus();
}

// Where the processes of a container are listed, for the lease holder.
std::function<std::string(const ContainerId&)> CgroupOf(const Logger& log) {
  const absl::StatusOr<CgroupLayout> layout = ReadCgroupLayout();
  const CgroupHierarchy* hierarchy = layout.ok() ? layout->ForProcesses() : nullptr;
  if (hierarchy == nullptr) {
    log.Error("cgroups_missing", {{"error", layout.status()}});
    return nullptr;
  }
  return [hierarchy = *hierarchy](const ContainerId& id) {
    return CgroupLayout::Directory(hierarchy,
                                   ContainerCgroup(LxcRuntime::Options().cgroup_root, id));
  };
}

// Without one no container starts; the agent goes on, and says why.
std::unique_ptr<PacketFilter> OpenPacketFilter(asio::io_context& loop, Logger log) {
  absl::StatusOr<std::unique_ptr<NftPacketFilter>> filter = NftPacketFilter::Open(loop, log);
  if (!filter.ok()) {
    log.Error("firewall_failed", {{"error", filter.status()}});
    return std::make_unique<NoPacketFilter>(filter.status());
  }
  return *std::move(filter);
}

absl::StatusOr<std::unique_ptr<ArpChannel>> OpenArp(asio::io_context& loop,
                                                    const std::string& interface,
                                                    PacketArpChannel::Hear hear) {
  absl::StatusOr<std::unique_ptr<PacketArpChannel>> opened =
      PacketArpChannel::Open(loop, interface, hear);
  if (!opened.ok()) {
    return opened.status();
  }
  return std::unique_ptr<ArpChannel>(*std::move(opened));
}

int Run(const NodeConfig& config, NodeFlags::Verb verb) {
  StderrLogSink sink(StderrLogSink::JournalReadsStderr());
  LogLevel level = LogLevel::kInfo;
  (void)ParseLogLevel(config.log_level, level);  // LoadConfig has checked it
  const Logger log(sink, level);
  const NodePaths paths{.state = config.state_dir, .run = config.run_dir};
  if (absl::Status made = MakeDirectories(paths.state, 0711); !made.ok()) {
    return Fail(made);
  }
  if (absl::Status made = MakeDirectories(paths.run, 0711); !made.ok()) {
    return Fail(made);
  }
  absl::StatusOr<PrivateKey> key = PrivateKey::LoadOrCreate(paths.Key());
  if (!key.ok()) {
    return Fail(key.status());
  }
  SystemClock clock;
  SystemRandom random;
  SystemDisk disk;
  asio::io_context loop(1);
  DiskImageCache images({.root = paths.Images(),
                         .unpack_program = config.libexec_dir / "bramble-unpack",
                         .ids = {.first = static_cast<uint32_t>(config.id_first)}},
                        log);
  if (absl::Status opened = images.Open(); !opened.ok()) {
    return Fail(opened);
  }
  const auto seccomp = FindShipped(config.libexec_dir, "container.seccomp");
  const auto apparmor = FindShipped(config.libexec_dir, "bramble-container.apparmor");
  if (!seccomp.ok() || !apparmor.ok()) {
    return Fail(seccomp.ok() ? apparmor.status() : seccomp.status());
  }
  // Containers run without it too, and the node's conditions say so.
  if (absl::Status loaded = LoadApparmorProfile(*apparmor, "/sys"); !loaded.ok()) {
    log.Error("apparmor_failed", {{"error", loaded}});
  }
  LxcRuntime runtime(loop,
                     {.program = config.libexec_dir / "bramble-runtime",
                      .state = config.state_dir,
                      .run = config.run_dir,
                      .seccomp_profile = *seccomp},
                     log);
  IpNetworkSetup network(log);
  LedIndicator indicator(loop, config.sys_dir, log);
  GpiodChips gpio("/dev");
  SystemWallSetter wall_setter;
  const bool sets_clock = MaySetClock(config) && SystemWallSetter::Allowed();
  // What systemd goes by too (systemd(1), "/usr/lib/clock-epoch"), and this program itself.
  const WallTime floor = BuildTimeFloor({"/usr/lib/clock-epoch", "/proc/self/exe"});
  const std::unique_ptr<PacketFilter> filter = OpenPacketFilter(loop, log);
  IpPortSetup ports(log);
  NameServers names(loop, config.network.bridge, random, log);
  NodeService service(
      {.loop = loop,
       .clock = clock,
       .random = random,
       .disk = disk,
       .runtime = runtime,
       .access = runtime,
       .images = images,
       .network = network,
       .indicator = indicator,
       .gpio = gpio,
       .filter = *filter,
       .ports = ports,
       .names = names,
       .open_arp = [&loop](const std::string& interface,
                           PacketArpChannel::Hear hear) { return OpenArp(loop, interface, hear); },
       .machine = RunMachine,
       .cgroup_of = CgroupOf(log),
       .wall_setter = sets_clock ? &wall_setter : nullptr,
       .time_floor = floor,
       .log = log},
      config, *std::move(key));
  absl::Status ended;
  {
    Scope scope(loop, log);
    ended = verb == NodeFlags::Verb::kJoin ? RunOnLoop(loop, service.Join())
                                           : RunOnLoop(loop, Serve(loop, service, scope));
  }
  return ended.ok() ? 0 : Fail(ended);
}

int Main(int argc, char** argv) {
  const absl::StatusOr<NodeFlags> flags = ParseNodeFlags(argc, argv);
  if (!flags.ok()) {
    Fail(flags.status());
    return kMisuse;
  }
  if (flags->help) {
    std::fputs(kNodeUsage, stdout);
    return 0;
  }
  if (flags->version) {
    std::puts("bramble-node " BRAMBLE_VERSION);
    return 0;
  }
  absl::StatusOr<NodeConfig> config = LoadConfig(*flags);
  if (!config.ok()) {
    return FailToConfigure(config.status(), *flags);
  }
  if (flags->check_config) {
    std::fputs(FormatNodeConfig(*config).c_str(), stdout);
    return 0;
  }
  if (flags->verb == NodeFlags::Verb::kStatus) {
    return ShowStatus(*config, flags->json);
  }
  if (absl::Status token = ReadJoinToken(*config); !token.ok()) {
    return FailToConfigure(token, *flags);
  }
  return Run(*config, flags->verb);
}

}  // namespace
}  // namespace bramble::node

int main(int argc, char** argv) {
  bramble::IgnoreSigpipe();
  bramble::node::KeepMemorySmall();
  return bramble::node::Main(argc, argv);
}
