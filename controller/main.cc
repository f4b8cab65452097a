// SPDX-License-Identifier: Apache-2.0
// bramble-controller: reads flags and configuration, builds every part in order, runs the loop.
// This is the map of the program.
#include <sys/stat.h>

#include <cstdio>
#include <optional>

#include <CLI/CLI.hpp>
#include <boost/asio/post.hpp>

#include "base/file.h"
#include "base/lane.h"
#include "base/notify.h"
#include "base/scope.h"
#include "base/signals.h"
#include "base/status.h"
#include "base/timer.h"
#include "controller/auth/authority.h"
#include "controller/backup.h"
#include "controller/config.h"
#include "controller/coordinator.h"
#include "controller/coordinator_cluster.h"
#include "controller/coordinator_images.h"
#include "controller/coordinator_network.h"
#include "controller/images/blob_store.h"
#include "controller/images/upload_store.h"
#include "controller/network/arp_prober.h"
#include "controller/network/local_network.h"
#include "controller/nodes/layer_relay.h"
#include "controller/nodes/node_connections.h"
#include "controller/nodes/node_server.h"
#include "controller/nodes/stream_broker.h"
#include "controller/rest/rest_server.h"
#include "controller/server_certificate.h"
#include "controller/state_room.h"
#include "controller/store/sqlite_store.h"

namespace bramble::controller {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kTick{500};
constexpr std::chrono::seconds kBetweenCollections{60};
constexpr std::chrono::minutes kBetweenCertificateChecks{1};
constexpr std::chrono::seconds kStopLimit{5};

struct Flags {
  std::string config = "/etc/bramble/controller.toml";
  std::string state;
  std::string run;
  std::string restore;
  bool check_config = false;
};

// Everything, in the order in which it is built; it goes in the opposite order.
struct Program {
  explicit Program(Config wanted, LogSink& sink)
      : config(std::move(wanted)),
        log(sink, config.log_level),
        paths{.state = config.state_dir, .run = config.run_dir} {}

  const Config config;
  const Logger log;
  const StatePaths paths;
  SystemClock clock;
  SystemRandom random;
  Fd lock;
  asio::io_context loop{1};
  Lane file_lane{"files"};
  std::unique_ptr<Authority> authority;
  std::shared_ptr<TlsServerContext> people_tls;
  std::shared_ptr<TlsServerContext> nodes_tls;
  std::string certificate_sha256;
  std::string certificate_why;  // it was made anew at the start; empty: it was not
  std::string key_sha256;       // of the server's public key: what people compare and pin
  std::unique_ptr<SqliteStore> store;
  Lane store_lane{"store", /*max_waiting=*/100'000};  // goes first: it works on the store
  std::unique_ptr<BlobStore> blobs;
  std::unique_ptr<UploadStore> uploads;
  std::unique_ptr<AddressProber> prober;
  std::unique_ptr<LocalNetwork> network;  // null: this machine serves no network
  NodeConnections connections{loop, log};
  StreamBroker streams{{.loop = loop, .clock = clock, .random = random, .log = log}};
  LayerRelay relay{streams, loop, log};
  std::unique_ptr<Coordinator> coordinator;
  NodeServerContext node_context{.loop = loop,
                                 .coordinator = nullptr,
                                 .connections = connections,
                                 .streams = streams,
                                 .blobs = blobs,
                                 .clock = clock,
                                 .limits = config.limits,
                                 .log = log,
                                 .sign = {}};
  RestContext rest_context{.loop = loop,
                           .coordinator = nullptr,
                           .blobs = blobs,
                           .uploads = uploads,
                           .streams = streams,
                           .clock = clock,
                           .limits = config.limits,
                           .log = log,
                           .backup = {},
                           .temporary_dir = paths.Temporary(),
                           .cards_dir = paths.Cards(),
                           .check_room = [this] { return CheckRoom(paths.state); },
                           .files = file_lane,
                           .tags = {}};
  std::unique_ptr<HttpServer> node_server;
  std::unique_ptr<HttpServer> rest_server;
  uint16_t people_port = 0;
  uint16_t nodes_port = 0;
  ServiceNotifier notifier;
  Scope scope{loop, log};
};

// ---- Building

absl::Status PrepareDirectories(Program& program) {
  const StatePaths& paths = program.paths;
  for (const fs::path& path : {paths.state, paths.run}) {
    BRAMBLE_RETURN_IF_ERROR(Annotate(MakeDirectories(path, 0700),
                                     "create it for this user, or name another (--state, --run)"));
  }
  BRAMBLE_ASSIGN_OR_RETURN(program.lock, LockStateDirectory(paths));
  std::error_code error;
  fs::remove_all(paths.Temporary(), error);
  return MakeDirectories(paths.Temporary(), 0700);
}

absl::Status MakeTls(Program& program) {
  BRAMBLE_ASSIGN_OR_RETURN(program.authority, Authority::Open(program.paths, program.clock));
  BRAMBLE_ASSIGN_OR_RETURN(
      const ServerCertificate server,
      EnsureServerCertificate(program.paths, program.authority->ca(),
                              LocalServerNames(program.config.names), program.clock.Wall()));
  program.certificate_sha256 = server.chain[0].Fingerprint().Hex();
  program.certificate_why = server.why;
  program.key_sha256 = server.chain[0].Spki().Hex();
  BRAMBLE_ASSIGN_OR_RETURN(
      program.people_tls,
      TlsServerContext::Make(
          {.chain = server.chain, .key = server.key, .at_least = TlsVersion::kTls12}));
  BRAMBLE_ASSIGN_OR_RETURN(
      program.nodes_tls,
      TlsServerContext::Make({.chain = server.chain,
                              .key = server.key,
                              .at_least = TlsVersion::kTls13,
                              .client_ca = program.authority->ca().certificate}));
  return absl::OkStatus();
}

absl::StatusOr<uint16_t> ListenOnAll(HttpServer& server, const ListenConfig& where,
                                     std::shared_ptr<TlsServerContext> tls,
                                     std::string_view table) {
  uint16_t port = where.port;
  for (const std::string& address : where.addresses) {
    absl::StatusOr<uint16_t> bound = server.Listen({.host = address, .port = port}, tls);
    if (!bound.ok()) {
      return Annotate(bound.status(),
                      StrCat("cannot listen on ", address, ", port ", port, " ([", table,
                             "] in the configuration; `ss -ltnp` shows who uses a port)"));
    }
    port = *bound;
  }
  return port;
}

absl::Status OpenStore(Program& program) {
  const auto on_lane = [&lane = program.store_lane](SqliteStore::Work work) {
    return lane.Post(std::move(work));
  };
  const auto on_loop = [&loop = program.loop](SqliteStore::Work work) {
    asio::post(loop, std::move(work));
  };
  BRAMBLE_ASSIGN_OR_RETURN(program.store, SqliteStore::Open(program.paths.Database(),
                                                            {.lane = on_lane, .loop = on_loop}));
  const LimitsConfig& limits = program.config.limits;
  BRAMBLE_ASSIGN_OR_RETURN(
      program.blobs,
      BlobStore::Open(
          {.root = program.paths.Blobs(), .max_blob = limits.image, .quota = limits.images},
          program.loop, program.file_lane, program.random, program.log));
  BRAMBLE_ASSIGN_OR_RETURN(program.uploads, UploadStore::Open({.root = program.paths.Blobs()},
                                                              {.blobs = *program.blobs,
                                                               .lane = program.file_lane,
                                                               .random = program.random,
                                                               .clock = program.clock,
                                                               .log = program.log}));
  return absl::OkStatus();
}

absl::Status MakeNetwork(Program& program) {
  if (program.config.interface.empty()) {
    program.prober = std::make_unique<NoProber>(program.loop);
    return absl::OkStatus();
  }
  const DnsmasqPaths dnsmasq{.directory = program.paths.Dnsmasq(),
                             .leases = program.paths.DhcpLeases()};
  program.network =
      std::make_unique<LocalNetwork>(program.loop,
                                     LocalNetwork::Options{.interface = program.config.interface,
                                                           .uplink = program.config.uplink,
                                                           .dnsmasq = {.paths = dnsmasq}},
                                     program.clock, program.random, program.log);
  BRAMBLE_ASSIGN_OR_RETURN(program.prober,
                           ArpProber::Open(program.loop, program.config.interface, program.log));
  return absl::OkStatus();
}

// Where nodes are told to look for us, in join tokens.
std::vector<std::string> NodeAddresses(const Program& program) {
  std::vector<std::string> addresses;
  for (const std::string& address : program.config.node_addresses) {
    const absl::StatusOr<HostPort> parsed = HostPort::Parse(address, program.nodes_port);
    if (parsed.ok()) {
      addresses.push_back(parsed->str());
    }
  }
  if (!addresses.empty()) {
    return addresses;
  }
  // Of this machine's own, those on the cluster's prefix first and the loopback last.
  std::vector<std::string> rest;
  for (const std::string& text : LocalServerNames({}).ip_addresses) {
    const Ipv4 address = Ipv4::Parse(text).value_or(Ipv4());
    const bool loopback = text.starts_with("127.");
    const std::string with_port = StrCat(text, ":", program.nodes_port);
    if (!loopback) {
      (program.config.prefix.Contains(address) ? addresses : rest).push_back(with_port);
    }
  }
  addresses.insert(addresses.end(), rest.begin(), rest.end());
  addresses.push_back(StrCat("127.0.0.1:", program.nodes_port));
  return addresses;
}

CoordinatorSettings SettingsOf(const Program& program) {
  const Config& config = program.config;
  CoordinatorSettings settings;
  settings.cluster_name = config.name;
  settings.prefix = config.prefix.str();
  settings.node_addresses = NodeAddresses(program);
  settings.certificate_sha256 = program.certificate_sha256;
  if (config.placement == "pack") {
    settings.scheduler.packing = Packing::kBinPack;
  }
  settings.timing = config.timing;
  settings.images_per_project = config.limits.images_per_project;
  settings.own_ports.insert({program.people_port, program.nodes_port});
  return settings;
}

void MakeBackupOn(Program& program, fs::path to, std::function<void(absl::Status)> done) {
  const fs::path copy = to.string() + ".db";
  program.store->Backup(copy, [&program, copy, to, done](absl::Status status) {
    const auto pack = [&program, copy, to, done, status] {
      const absl::Status packed = status.ok() ? WriteBackup(program.paths, copy, to) : status;
      ::unlink(copy.c_str());
      asio::post(program.loop, [done, packed] { done(packed); });
    };
    if (!program.file_lane.Post(pack)) {
      done(absl::UnavailableError("backup: the disk is too busy; try again"));
    }
  });
}

absl::Status Build(Program& program) {
  BRAMBLE_RETURN_IF_ERROR(PrepareDirectories(program));
  BRAMBLE_RETURN_IF_ERROR(MakeTls(program));
  program.rest_context.backup = [&program](fs::path to, std::function<void(absl::Status)> done) {
    MakeBackupOn(program, std::move(to), std::move(done));
  };
  // The ports first: a busy one is found before anything is made.  Nothing is served until the loop
  // runs.
  program.node_server = MakeNodeServer(program.node_context, program.file_lane);
  program.rest_server = MakeRestServer(program.rest_context, program.file_lane);
  BRAMBLE_ASSIGN_OR_RETURN(
      program.people_port,
      ListenOnAll(*program.rest_server, program.config.people, program.people_tls, "people"));
  BRAMBLE_ASSIGN_OR_RETURN(
      program.nodes_port,
      ListenOnAll(*program.node_server, program.config.nodes, program.nodes_tls, "nodes"));
  BRAMBLE_RETURN_IF_ERROR(OpenStore(program));
  BRAMBLE_RETURN_IF_ERROR(MakeNetwork(program));
  program.coordinator = std::make_unique<Coordinator>(
      SettingsOf(program), CoordinatorParts{.clock = &program.clock,
                                            .random = &program.random,
                                            .store = program.store.get(),
                                            .links = &program.connections,
                                            .prober = program.prober.get(),
                                            .issuer = program.authority.get(),
                                            .copier = &program.relay,
                                            .network = program.network.get()});
  BRAMBLE_RETURN_IF_ERROR(program.coordinator->Start());
  if (!program.certificate_why.empty()) {
    program.coordinator->cluster().NoteCertificate(
        {.sha256 = program.certificate_sha256, .why = program.certificate_why});
  }
  if (program.network != nullptr) {
    program.network->SetOnRivals([&program](const std::vector<api::RivalDhcp>& rivals) {
      program.coordinator->network().OnRivals(rivals);
    });
  }
  program.blobs->SetWhatTakesRoom(
      [images = &program.coordinator->images()] { return images->Largest(); });
  program.node_context.sign = [authority = program.authority.get()](std::string_view message) {
    return authority->Sign(message);
  };
  program.node_context.coordinator = program.coordinator.get();
  program.rest_context.coordinator = program.coordinator.get();
  program.connections.SetSessions(&program.coordinator->sessions());
  program.streams.SetSessions(&program.coordinator->sessions());
  return absl::OkStatus();
}

// ---- Running

absl::Status WritePorts(const Program& program) {
  const json::object ports = {{"people", program.people_port}, {"nodes", program.nodes_port}};
  return WriteFileAtomically(program.paths.Ports(), json::serialize(ports) + "\n", 0644);
}

// The set-up code is in its file exactly while it is good.
absl::Status UpdateSetupCode(Program& program, std::string& shown) {
  const std::string code = program.coordinator->cluster().SetupCode();
  if (code == shown) {
    return absl::OkStatus();
  }
  const fs::path file = program.paths.SetupCode();
  if (code.empty()) {
    shown = code;
    ::unlink(file.c_str());
    return absl::OkStatus();
  }
  BRAMBLE_RETURN_IF_ERROR(WriteFileAtomically(file, code + "\n", 0600));
  shown = code;
  program.log.Info("setup_code", {{"code", code},
                                  {"fingerprint", StrCat("sha256:", program.key_sha256)},
                                  {"file", file.string()},
                                  {"next", "bramble cluster init"}});
  return absl::OkStatus();
}

asio::awaitable<void> KeepTicking(Program& program) {
  std::string shown = "none yet";
  absl::Status before;
  const auto watchdog = ServiceNotifier::WatchdogInterval();
  while (true) {
    program.coordinator->Tick();
    // A full disk must not end the ticking: it is tried again at the next tick.
    if (const absl::Status updated = UpdateSetupCode(program, shown); updated != before) {
      before = updated;
      if (!updated.ok()) {
        program.log.Error("setup_code_not_written", {{"error", updated}});
      }
    }
    if (watchdog.has_value()) {
      program.notifier.Watchdog();
    }
    co_await SleepFor(kTick);
  }
}

void NoteBlobs(Program& program) {
  const auto has = [&blobs = *program.blobs](const std::string& digest) {
    return blobs.Has(digest);
  };
  program.coordinator->images().NoteBlobs(has);
}

// After a restore or a roll-back something newer may still name what we do not: nothing goes then.
asio::awaitable<void> CollectBlobs(Program& program) {
  while (true) {
    NoteBlobs(program);
    co_await SleepFor(kBetweenCollections);
    program.uploads->RemoveExpired();
    if (!program.coordinator->state().cluster().adopting) {
      std::set<std::string> used = program.coordinator->images().UsedDigests();
      co_await program.blobs->RemoveUnused(std::move(used));
    }
  }
}

absl::Status RenewCertificate(Program& program) {
  BRAMBLE_ASSIGN_OR_RETURN(
      const ServerCertificate server,
      EnsureServerCertificate(program.paths, program.authority->ca(),
                              LocalServerNames(program.config.names), program.clock.Wall()));
  if (!server.renewed) {
    return absl::OkStatus();
  }
  program.log.Info("server_certificate_renewed",
                   {{"sha256", server.chain[0].Fingerprint().Hex()}, {"why", server.why}});
  BRAMBLE_RETURN_IF_ERROR(program.people_tls->SetCertificate(server.chain, server.key));
  program.certificate_sha256 = server.chain[0].Fingerprint().Hex();
  program.coordinator->cluster().NoteCertificate(
      {.sha256 = program.certificate_sha256, .why = server.why});
  return program.nodes_tls->SetCertificate(server.chain, server.key);
}

asio::awaitable<void> KeepCertificate(Program& program) {
  while (true) {
    co_await SleepFor(kBetweenCertificateChecks);
    if (const absl::Status renewed = RenewCertificate(program); !renewed.ok()) {
      program.log.Error("server_certificate_not_renewed", {{"error", renewed}});
    }
  }
}

asio::awaitable<absl::Status> StopServers(Program& program) {
  co_await program.rest_server->Stop();
  co_await program.node_server->Stop();
  co_return absl::OkStatus();
}

asio::awaitable<void> RunUntilStopped(Program& program, StopSignals& stop_signals) {
  Spawn(program.scope, "tick", KeepTicking(program));
  Spawn(program.scope, "collect_blobs", CollectBlobs(program));
  Spawn(program.scope, "server_certificate", KeepCertificate(program));
  program.log.Info("controller_ready", {{"people", program.people_port},
                                        {"nodes", program.nodes_port},
                                        {"version", BRAMBLE_VERSION}});
  program.notifier.Ready();
  const int signal = co_await stop_signals.Wait();
  program.log.Info("controller_stopping", {{"signal", signal}});
  program.notifier.Stopping();
  ::unlink(program.paths.Ports().c_str());
  auto stop = StopServers(program);
  if (const absl::Status stopped = co_await WithDeadline(std::move(stop), kStopLimit, "stopping");
      !stopped.ok()) {
    program.log.Warn("controller_stop_slow", {{"error", stopped}});
  }
  co_await program.scope.Join();
  program.loop.stop();
}

absl::Status RunProgram(Program& program) {
  BRAMBLE_RETURN_IF_ERROR(Build(program));
  StopSignals stop_signals(program.loop);
  BRAMBLE_RETURN_IF_ERROR(WritePorts(program));
  Scope main_scope(program.loop, program.log);
  Spawn(main_scope, "main", RunUntilStopped(program, stop_signals));
  program.loop.run();
  return absl::OkStatus();
}

// ---- Starting

absl::StatusOr<Config> LoadConfig(const Flags& flags, bool named) {
  Config config;
  absl::StatusOr<ConfigFile> file = ConfigFile::Load(flags.config);
  if (file.ok()) {
    BRAMBLE_ASSIGN_OR_RETURN(config, ReadConfig(*file));
  } else if (named || !absl::IsNotFound(file.status())) {
    return file.status();
  }
  if (!flags.state.empty()) {
    config.state_dir = flags.state;
  }
  if (!flags.run.empty()) {
    config.run_dir = flags.run;
  }
  return config;
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "bramble-controller: %s\n", std::string(MessageOf(status)).c_str());
  return 1;
}

// Whoever asks is told; the service that does not start says what to do, for it is not started
// again.
int FailToConfigure(const absl::Status& status, const Flags& flags) {
  if (!flags.check_config && flags.restore.empty()) {
    return RefuseConfiguration("bramble-controller", flags.config, status);
  }
  Fail(status);
  return ExitCodeOf(status);
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("The controller of a Bramble cluster.", "bramble-controller");
  CLI::Option* config_flag =
      app.add_option("--config", flags.config, "Configuration file")->capture_default_str();
  app.add_option("--state", flags.state, "State directory, instead of the configured one");
  app.add_option("--run", flags.run, "Run directory, instead of the configured one");
  app.add_option("--restore", flags.restore,
                 "Unpack a backup into an empty state directory, and exit");
  app.add_flag("--check-config", flags.check_config, "Print the effective configuration and exit");
  app.set_version_flag("--version", BRAMBLE_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  absl::StatusOr<Config> config = LoadConfig(flags, config_flag->count() > 0);
  if (!config.ok()) {
    return FailToConfigure(config.status(), flags);
  }
  if (flags.check_config) {
    std::fputs(FormatConfig(*config).c_str(), stdout);
    return 0;
  }
  ::umask(0077);
  if (!flags.restore.empty()) {
    const absl::Status restored =
        RestoreBackup(flags.restore, {.state = config->state_dir, .run = config->run_dir});
    return restored.ok() ? 0 : Fail(restored);
  }
  IgnoreSigpipe();
  StderrLogSink sink(StderrLogSink::JournalReadsStderr());
  Program program(*std::move(config), sink);
  const absl::Status status = RunProgram(program);
  return status.ok() ? 0 : Fail(status);
}

}  // namespace
}  // namespace bramble::controller

int main(int argc, char** argv) { return bramble::controller::Main(argc, argv); }
