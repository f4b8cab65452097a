// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "base/asio.h"
#include "base/fd.h"
#include "base/log.h"

#include "absl/status/statusor.h"

namespace bramble::node {

// A unix socket, root's, that gives everyone who connects one text and closes: what
// `bramble-node status` shows, also with no controller in reach.
class StatusServer {
 public:
  StatusServer(asio::io_context& loop, std::filesystem::path socket,
               std::function<std::string()> text, Logger log)
      : loop_(loop), socket_(std::move(socket)), text_(std::move(text)), log_(log) {}

  absl::Status Listen();
  // Until its scope is cancelled.
  asio::awaitable<absl::Status> Run();

 private:
  asio::io_context& loop_;
  const std::filesystem::path socket_;
  const std::function<std::string()> text_;
  const Logger log_;
  Fd listener_;
};

// The other side.  Blocks, for a few seconds at most.  kUnavailable: no agent runs there.
absl::StatusOr<std::string> AskStatus(const std::filesystem::path& socket);

}  // namespace bramble::node
