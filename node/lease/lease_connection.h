// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/fd.h"
#include "node/lease/lease_message.h"

#include "absl/status/statusor.h"

namespace bramble::node {

// The agent's end of the lease holder's socket.  Does not block: packets are small and the holder
// only reads; a full socket is kUnavailable, and the caller connects anew.
class LeaseConnection {
 public:
  // kUnavailable: no holder listens.
  static absl::StatusOr<LeaseConnection> Connect(const std::filesystem::path& socket);

  // A movable container runs, or (`pidfd` -1) is about to be started; its processes are or will be
  // in the cgroup directory `group`.  `pidfd` stays the caller's.
  absl::Status Hold(std::string_view id, int pidfd, int halt_signal, std::string_view group = "");
  absl::Status Release(std::string_view id);
  absl::Status Begin();
  absl::Status End();
  absl::Status Renew(BootTime deadline, std::chrono::milliseconds stop);
  // Asks for the state; it comes by Receive.
  absl::Status Hello();
  // The next packet, nullopt when none is there.  kUnavailable: the holder is gone.
  absl::StatusOr<std::optional<LeaseMessage>> Receive();

  int native() const { return fd_.get(); }

 private:
  explicit LeaseConnection(Fd fd) : fd_(std::move(fd)) {}
  absl::Status Send(const LeaseMessage& message, int attached = -1);

  Fd fd_;
};

}  // namespace bramble::node
