// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/log.h"
#include "base/scope.h"
#include "base/timer.h"
#include "node/agent/agent.h"
#include "node/lease/lease_connection.h"

namespace bramble::node {

// Keeps a connection to bramble-lease-holder, tells it what to protect, and tells the agent when
// the holder comes and goes.  Loop only.
class LeaseClient : public LeaseGuard {
 public:
  // `present`: it answers; `until`: the lease that it goes by, when it was given one before.
  using OnHolder = std::function<void(bool present, std::optional<BootTime> until)>;

  LeaseClient(asio::io_context& loop, std::filesystem::path socket, std::filesystem::path proc,
              Logger log)
      : loop_(loop),
        socket_(std::move(socket)),
        proc_(std::move(proc)),
        log_(log),
        answered_(loop) {}

  // Before Run.
  void SetListener(OnHolder on_holder) { on_holder_ = std::move(on_holder); }

  // Connects, and connects again, until its scope is cancelled.
  asio::awaitable<void> Run();

  void Protect(std::vector<Protected> containers, std::optional<BootTime> until,
               std::chrono::milliseconds stop) override;
  asio::awaitable<absl::Status> Confirm() override;

 private:
  asio::awaitable<absl::Status> Serve();
  absl::Status Tell(const std::vector<Protected>& containers, std::optional<BootTime> until,
                    std::chrono::milliseconds stop);
  absl::StatusOr<Fd> OpenInit(const Protected& container) const;

  asio::io_context& loop_;
  const std::filesystem::path socket_;
  const std::filesystem::path proc_;
  const Logger log_;
  OnHolder on_holder_;
  std::optional<LeaseConnection> connection_;
  uint64_t connections_ = 0;  // so far
  uint64_t asked_ = 0;        // on this one, and how often it answered
  uint64_t answers_ = 0;
  Event answered_;
};

}  // namespace bramble::node
