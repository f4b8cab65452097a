// SPDX-License-Identifier: Apache-2.0
#pragma once

// The node's end of streams into containers: exec, console, logs, push and pull, and those of their
// writable layers: export and import.  For each the
// controller sends an OpenStream; the node dials /v1/streams/<ticket> and serves it there, so that
// a slow terminal never holds up a heartbeat.
//
// Frames are binary; the first byte is the channel (docs/adr/0002): 0 input, 1 output, 2 errors,
// 3 control, JSON: {"resize":{"rows","columns"}}, {"eof":true}, {"signal":N}, {"exit":{"code":N}},
// {"error":"…","code":"not_found"}.  The last frame from here is an exit or an error.

#include <memory>
#include <set>

#include "api/node_protocol.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/websocket.h"
#include "node/agent/agent.h"
#include "node/runtime/container_access.h"
#include "node/uplink/controller_access.h"

namespace bramble::node {

inline constexpr size_t kMaxStreams = 64;  // at once

class StreamServer {
 public:
  // `agent` says what a layer that comes in is made to.
  StreamServer(asio::io_context& loop, ControllerAccess& access, ContainerAccess& containers,
               Agent& agent, Logger log)
      : loop_(loop),
        access_(access),
        containers_(containers),
        agent_(agent),
        log_(log),
        scope_(loop, log) {}

  // Dials and serves on its own; what fails is told on the stream, or logged when there is none.
  void Open(api::OpenStream request);
  asio::awaitable<void> Stop();

 private:
  struct Stream;
  asio::awaitable<absl::Status> Serve(api::OpenStream request);
  asio::awaitable<void> Work(std::shared_ptr<Stream> stream);
  asio::awaitable<absl::StatusOr<int>> Run(std::shared_ptr<Stream> stream);
  asio::awaitable<absl::StatusOr<int>> RunTerminal(std::shared_ptr<Stream> stream);
  asio::awaitable<absl::StatusOr<int>> RunSource(std::shared_ptr<Stream> stream);
  asio::awaitable<absl::StatusOr<int>> RunSink(std::shared_ptr<Stream> stream);
  asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSink>>> OpenSink(api::OpenStream wanted);
  asio::awaitable<void> TakeInput(std::shared_ptr<Stream> stream);
  asio::awaitable<void> WatchClose(std::shared_ptr<Stream> stream);

  asio::io_context& loop_;
  ControllerAccess& access_;
  ContainerAccess& containers_;
  Agent& agent_;
  const Logger log_;
  std::set<std::shared_ptr<Stream>> open_;
  Scope scope_;
};

}  // namespace bramble::node
