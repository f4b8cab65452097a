// SPDX-License-Identifier: Apache-2.0
#pragma once

// dnsmasq as a child of ours: the cluster's DNS and DHCP server.

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/async_subprocess.h"
#include "base/lane.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/timer.h"
#include "controller/network/dnsmasq_config.h"

namespace bramble::controller {

// Keeps one dnsmasq running as it was last told.  Names and known machines change by SIGHUP, all
// else by a restart.  A configuration is written, read again by `dnsmasq --test`, and only then
// used: one that is refused leaves the server that runs as it is.  When the child ends it is
// started again, at once and then with a back-off that doubles from kFirstWait to kLongestWait;
// its leases are in a file and stay.  Loop only.
class DnsmasqServer {
 public:
  static constexpr std::chrono::milliseconds kFirstWait{200};
  static constexpr std::chrono::seconds kLongestWait{30};
  static constexpr std::chrono::seconds kHealthyAfter{20};  // then the back-off begins anew
  static constexpr std::chrono::seconds kStopLimit{3};

  struct Options {
    std::string program = "dnsmasq";
    DnsmasqPaths paths;
  };
  DnsmasqServer(asio::io_context& loop, Lane& files, Options options, Logger log);
  ~DnsmasqServer();

  void Apply(DnsmasqSettings settings);
  // Called with every change of state().
  void OnState(std::function<void(const std::string& state)> hook) { on_state_ = std::move(hook); }

  // "running", "off" (nothing was applied yet) or why it does not run.
  const std::string& state() const { return state_; }
  pid_t pid() const { return process_ == nullptr ? 0 : process_->pid(); }
  // The leases as the server wrote them last.
  asio::awaitable<std::vector<DhcpLease>> Leases();

 private:
  asio::awaitable<void> Keep();
  // Writes and checks what is wanted, and starts it.
  asio::awaitable<absl::Status> StartWanted();
  asio::awaitable<absl::Status> WriteAndTest(DnsmasqFiles files);
  asio::awaitable<absl::Status> Spawned();
  // Until the child has ended, or has to be started with another configuration.
  asio::awaitable<void> Serve();
  asio::awaitable<void> Stop();
  asio::awaitable<void> WatchExit(std::shared_ptr<Process> process);
  asio::awaitable<void> ReadLog(FdStream stream);
  std::string LastWords() const;
  void SetState(std::string state);

  asio::io_context& loop_;
  Lane& files_;
  const Options options_;
  const Logger log_;
  std::optional<DnsmasqSettings> wanted_;
  DnsmasqFiles written_;  // what the running server was given
  std::shared_ptr<Process> process_;
  std::optional<ExitStatus> ended_;
  std::deque<std::string> said_;  // its last lines
  std::string state_ = "off";
  std::function<void(const std::string& state)> on_state_;
  Event woken_;
  Scope scope_;
};

}  // namespace bramble::controller
