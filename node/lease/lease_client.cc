// SPDX-License-Identifier: Apache-2.0
#include "node/lease/lease_client.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>

#include "base/async_subprocess.h"
#include "base/file.h"
#include "base/status.h"
#include "base/timer.h"

namespace bramble::node {
namespace {

constexpr std::chrono::seconds kFirstRetry{1};
constexpr std::chrono::seconds kMaxRetry{10};
constexpr std::chrono::seconds kConfirmLimit{2};
constexpr size_t kMaxStatBytes = 4096;
constexpr int kStartTicksField = 22;  // of /proc/PID/stat, proc(5)

// The 22nd field; the second, a name in parentheses, may hold spaces.
std::optional<uint64_t> StartTicks(const std::string& stat) {
  size_t at = stat.rfind(')');
  for (int field = 2; at != std::string::npos && field < kStartTicksField; ++field) {
    at = stat.find(' ', at + 1);
  }
  uint64_t ticks = 0;
  if (at == std::string::npos ||
      std::from_chars(stat.data() + at + 1, stat.data() + stat.size(), ticks).ec != std::errc()) {
    return std::nullopt;
  }
  return ticks;
}

}  // namespace

asio::awaitable<void> LeaseClient::Run() {
  std::chrono::seconds retry = kFirstRetry;
  while (true) {
    const absl::Status ended = co_await Serve();
    if (connection_.has_value()) {
      connection_.reset();
      answered_.Set();
      if (absl::IsCancelled(ended)) {
        co_return;  // the agent stops: what runs goes on under the holder's eyes
      }
      on_holder_(false, std::nullopt);
      log_.Warn("lease_holder_gone", {{"error", ended}});
      retry = kFirstRetry;
    }
    co_await SleepFor(retry);
    retry = std::min(retry * 2, kMaxRetry);
  }
}

asio::awaitable<absl::Status> LeaseClient::Serve() {
  absl::StatusOr<LeaseConnection> connection = LeaseConnection::Connect(socket_);
  if (!connection.ok()) {
    co_return connection.status();
  }
  const absl::Status asked = connection->Hello();
  if (!asked.ok()) {
    co_return asked;
  }
  // A descriptor of its own to wait on: what is sent goes out on the other one meanwhile.
  FdStream stream(loop_, Fd(::dup(connection->native())));
  connection_ = *std::move(connection);
  ++connections_;
  asked_ = 1;
  answers_ = 0;
  bool told = false;
  while (true) {
    absl::StatusOr<std::string> packet = co_await stream.Read(sizeof(LeaseMessage));
    if (!packet.ok()) {
      co_return packet.status();
    }
    LeaseMessage message;
    if (packet->size() != sizeof(message)) {
      co_return absl::UnavailableError("the lease holder closed");
    }
    std::memcpy(&message, packet->data(), sizeof(message));
    if (message.protocol != kLeaseProtocol || message.kind != LeaseMessageKind::kState) {
      co_return absl::UnavailableError("the lease holder is of another version");
    }
    ++answers_;
    answered_.Set();
    if (!std::exchange(told, true)) {
      std::optional<BootTime> until;
      if (message.deadline_ns > 0) {
        until = BootTime(std::chrono::nanoseconds(message.deadline_ns));
      }
      on_holder_(true, until);
    }
  }
}

absl::StatusOr<Fd> LeaseClient::OpenInit(const Protected& container) const {
  Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, container.init_pid, 0)));
  if (!pidfd.valid()) {
    return ErrnoStatus(errno, StrCat("init of container ", container.id.str()));
  }
  // The number may be another process's by now.
  const std::filesystem::path path = proc_ / std::to_string(container.init_pid) / "stat";
  BRAMBLE_ASSIGN_OR_RETURN(const std::string stat, ReadFile(path, kMaxStatBytes));
  if (container.init_start_ticks != 0 && StartTicks(stat) != container.init_start_ticks) {
    return absl::NotFoundError(StrCat("init of container ", container.id.str(), " has ended"));
  }
  return pidfd;
}

void LeaseClient::Protect(std::vector<Protected> containers, std::optional<BootTime> until,
                          std::chrono::milliseconds stop) {
  if (!connection_.has_value()) {
    return;  // the agent says all again when the holder is there
  }
  if (absl::Status told = Tell(containers, until, stop); !told.ok()) {
    log_.Warn("lease_holder_not_told", {{"error", told}});
  }
}

// It takes packets in order: once it answers a question, it has all that was sent before.
asio::awaitable<absl::Status> LeaseClient::Confirm() {
  const absl::Status absent = absl::UnavailableError(
      "bramble-lease-holder does not answer; see `systemctl status bramble-lease-holder`");
  if (!connection_.has_value() || !connection_->Hello().ok()) {
    co_return absent;
  }
  const uint64_t connection = connections_;
  const uint64_t question = ++asked_;
  while (answers_ < question) {
    answered_.Reset();
    const bool answered = co_await answered_.WaitFor(kConfirmLimit);
    if (!answered || !connection_.has_value() || connections_ != connection) {
      co_return absent;
    }
  }
  co_return absl::OkStatus();
}

absl::Status LeaseClient::Tell(const std::vector<Protected>& containers,
                               std::optional<BootTime> until, std::chrono::milliseconds stop) {
  // The deadline first: what is held under none is ended at once.
  if (until.has_value()) {
    BRAMBLE_RETURN_IF_ERROR(connection_->Renew(*until, stop));
  }
  BRAMBLE_RETURN_IF_ERROR(connection_->Begin());
  for (const Protected& container : containers) {
    // Without its init (it is being started, or has just ended) it is known by its cgroup alone.
    const absl::StatusOr<Fd> init = container.init_pid > 0
                                        ? OpenInit(container)
                                        : absl::StatusOr<Fd>(absl::NotFoundError("not known yet"));
    if (!init.ok() && container.group.empty()) {
      continue;
    }
    BRAMBLE_RETURN_IF_ERROR(connection_->Hold(container.id.str(), init.ok() ? init->get() : -1,
                                              container.halt_signal, container.group));
  }
  return connection_->End();
}

}  // namespace bramble::node
