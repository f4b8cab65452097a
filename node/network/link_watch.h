// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/asio.h"
#include "base/log.h"
#include "base/scope.h"

#include "absl/status/statusor.h"

namespace bramble::node {

// What became of a network interface.
struct LinkChange {
  std::string name;
  bool gone = false;
  bool running = false;  // up, with a carrier
  // Notices were lost: anything may have changed.  The rest is empty.
  bool unknown = false;
};

// The kernel's notices of this network namespace's interfaces (rtnetlink(7)).  Loop only.
class LinkWatch {
 public:
  static absl::StatusOr<std::unique_ptr<LinkWatch>> Open(
      asio::io_context& loop, std::function<void(const LinkChange&)> listener, Logger log);
  ~LinkWatch();

 private:
  struct Socket;
  LinkWatch(asio::io_context& loop, std::unique_ptr<Socket> socket,
            std::function<void(const LinkChange&)> listener, Logger log);
  asio::awaitable<void> Read();

  std::unique_ptr<Socket> socket_;
  const std::function<void(const LinkChange&)> listener_;
  Scope scope_;
};

}  // namespace bramble::node
