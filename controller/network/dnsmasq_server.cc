// SPDX-License-Identifier: Apache-2.0
#include "controller/network/dnsmasq_server.h"

#include <signal.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/status.h"

#include "absl/strings/str_split.h"

namespace bramble::controller {
namespace {

constexpr size_t kLinesKept = 8;
constexpr size_t kMaxLine = 400;
constexpr size_t kMaxLeaseFile = 8 << 20;
constexpr std::chrono::milliseconds kSettle{150};  // a server that cannot bind ends within this

absl::Status WriteFiles(const DnsmasqPaths& paths, const DnsmasqFiles& files) {
  BRAMBLE_RETURN_IF_ERROR(MakeDirectories(paths.directory, 0700));
  BRAMBLE_RETURN_IF_ERROR(WriteFileAtomically(paths.Names(), files.names, 0600));
  BRAMBLE_RETURN_IF_ERROR(WriteFileAtomically(paths.Hosts(), files.hosts, 0600));
  return WriteFileAtomically(paths.Config(), files.config, 0600);
}

}  // namespace

DnsmasqServer::DnsmasqServer(asio::io_context& loop, Lane& files, Options options, Logger log)
    : loop_(loop),
      files_(files),
      options_(std::move(options)),
      log_(log),
      woken_(loop),
      scope_(loop, log) {
  Spawn(scope_, "dnsmasq", Keep());
}

DnsmasqServer::~DnsmasqServer() {
  if (process_ != nullptr) {
    process_->Signal(SIGTERM);
  }
}

void DnsmasqServer::Apply(DnsmasqSettings settings) {
  wanted_ = std::move(settings);
  woken_.Set();
}

asio::awaitable<void> DnsmasqServer::Keep() {
  LoopDuration wait = kFirstWait;
  while (true) {
    if (!wanted_.has_value()) {
      woken_.Reset();
      co_await woken_.Wait();
      continue;
    }
    const auto started = std::chrono::steady_clock::now();
    const absl::Status status = co_await StartWanted();
    if (status.ok()) {
      SetState("running");
      co_await Serve();
      if (process_ == nullptr) {
        continue;  // stopped by us, for another configuration
      }
      SetState(StrCat("dnsmasq ", ended_->ToString(), ": ", LastWords()));
      process_.reset();
    } else {
      SetState(std::string(MessageOf(status)));
    }
    if (std::chrono::steady_clock::now() - started > kHealthyAfter) {
      wait = kFirstWait;
    }
    log_.Warn(
        "dnsmasq_failed",
        {{"error", state_},
         {"again_in_ms", std::chrono::duration_cast<std::chrono::milliseconds>(wait).count()}});
    woken_.Reset();
    co_await woken_.WaitFor(wait);
    wait = std::min<LoopDuration>(2 * wait, kLongestWait);
  }
}

asio::awaitable<absl::Status> DnsmasqServer::StartWanted() {
  const DnsmasqSettings settings = *wanted_;
  BRAMBLE_CO_ASSIGN_OR_RETURN(DnsmasqFiles files, WriteDnsmasqFiles(settings, options_.paths));
  auto tested = WriteAndTest(files);
  BRAMBLE_CO_RETURN_IF_ERROR(co_await std::move(tested));
  written_ = std::move(files);
  co_return co_await Spawned();
}

asio::awaitable<absl::Status> DnsmasqServer::WriteAndTest(DnsmasqFiles files) {
  const auto write = [paths = options_.paths, files = std::move(files)] {
    return WriteFiles(paths, files);
  };
  BRAMBLE_CO_RETURN_IF_ERROR(co_await files_.Run(write));
  Command test;
  test.argv = {options_.program, "--test",
               StrCat("--conf-file=", options_.paths.Config().string())};
  const Command copy = test;
  BRAMBLE_CO_ASSIGN_OR_RETURN(const CommandResult result,
                              co_await RunCommandAsync(std::move(test)));
  co_return CheckOk(copy, result);
}

asio::awaitable<absl::Status> DnsmasqServer::Spawned() {
  ProcessSpec spec;
  spec.argv = {options_.program, StrCat("--conf-file=", options_.paths.Config().string())};
  spec.err = Stdio::Pipe();
  absl::StatusOr<Process> process = Process::Spawn(spec);
  if (!process.ok()) {
    co_return process.status();
  }
  ended_.reset();
  said_.clear();
  process_ = std::make_shared<Process>(*std::move(process));
  Spawn(scope_, "dnsmasq_log", ReadLog(FdStream(loop_, std::move(process_->err()))));
  Spawn(scope_, "dnsmasq_exit", WatchExit(process_));
  co_await SleepFor(kSettle);
  if (ended_.has_value()) {
    const std::string how = StrCat("dnsmasq ", ended_->ToString(), ": ", LastWords());
    process_.reset();
    co_return absl::UnavailableError(how);
  }
  log_.Info("dnsmasq_started", {{"pid", process_->pid()}});
  co_return absl::OkStatus();
}

asio::awaitable<void> DnsmasqServer::WatchExit(std::shared_ptr<Process> process) {
  const absl::StatusOr<ExitStatus> exit = co_await WaitForExit(*process);
  if (process == process_) {
    ended_ = exit.value_or(ExitStatus{.code = 1});
    woken_.Set();
  }
}

asio::awaitable<void> DnsmasqServer::Serve() {
  while (!ended_.has_value()) {
    woken_.Reset();
    const DnsmasqSettings settings = *wanted_;
    absl::StatusOr<DnsmasqFiles> files = WriteDnsmasqFiles(settings, options_.paths);
    if (!files.ok()) {
      // What runs is right; what is wanted cannot be.
      log_.Error("dnsmasq_refused", {{"error", files.status()}});
    } else if (files->config != written_.config) {
      auto tested = WriteAndTest(*files);
      const absl::Status good = co_await std::move(tested);
      if (good.ok()) {
        co_await Stop();
        co_return;
      }
      log_.Error("dnsmasq_refused", {{"error", good}});
    } else if (files->names != written_.names || files->hosts != written_.hosts) {
      const auto write = [paths = options_.paths, copy = *files] {
        return WriteFiles(paths, copy);
      };
      const absl::Status wrote = co_await files_.Run(write);
      if (wrote.ok() && process_ != nullptr) {
        written_ = *std::move(files);
        process_->Signal(SIGHUP);
      }
    }
    if (!ended_.has_value()) {
      co_await woken_.Wait();
    }
  }
}

asio::awaitable<void> DnsmasqServer::Stop() {
  process_->Signal(SIGTERM);
  const auto until = std::chrono::steady_clock::now() + kStopLimit;
  while (!ended_.has_value() && std::chrono::steady_clock::now() < until) {
    woken_.Reset();
    co_await woken_.WaitFor(kStopLimit);
  }
  process_->Signal(SIGKILL);
  process_.reset();
}

asio::awaitable<void> DnsmasqServer::ReadLog(FdStream stream) {
  std::string rest;
  while (true) {
    const absl::StatusOr<std::string> bytes = co_await stream.Read();
    if (!bytes.ok() || bytes->empty()) {
      co_return;
    }
    rest += *bytes;
    size_t begin = 0;
    for (size_t end = rest.find('\n'); end != std::string::npos; end = rest.find('\n', begin)) {
      const std::string line = rest.substr(begin, std::min(end - begin, kMaxLine));
      begin = end + 1;
      said_.push_back(line);
      if (said_.size() > kLinesKept) {
        said_.pop_front();
      }
      log_.Debug("dnsmasq", {{"line", line}});
    }
    rest.erase(0, begin);
    if (rest.size() > kMaxLine) {
      rest.clear();
    }
  }
}

void DnsmasqServer::SetState(std::string state) {
  state_ = std::move(state);
  if (on_state_) {
    on_state_(state_);
  }
}

std::string DnsmasqServer::LastWords() const {
  return said_.empty() ? "it said nothing" : said_.back();
}

asio::awaitable<std::vector<DhcpLease>> DnsmasqServer::Leases() {
  const auto read = [path = options_.paths.leases]() -> absl::StatusOr<std::string> {
    return ReadFile(path, kMaxLeaseFile);
  };
  const absl::StatusOr<std::string> text = co_await files_.Run(read);
  co_return text.ok() ? ParseLeases(*text) : std::vector<DhcpLease>{};
}

}  // namespace bramble::controller
