// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>

#include "controller/nodes/stream_broker.h"

namespace bramble::controller {

// Copies writable layers from node to node through this controller: both ends dial (docs/adr/0006).
// Holds no more than the queues of two WebSockets; the slower end sets the pace.
//
// The target says first whether it has the layer already, and fetches the image if need be; only
// then is the source asked.  The target's word that it verified the layer is what counts.
class LayerRelay : public LayerCopier {
 public:
  LayerRelay(StreamBroker& broker, asio::io_context& loop, Logger log)
      : broker_(broker), log_(log), scope_(loop, log) {}

  void Copy(LayerCopy copy, Done done) override;
  void Cancel(const std::string& move) override;
  int64_t BytesCopied(const std::string& move) const override;

 private:
  struct Task {
    LayerCopy copy;
    Done done;
    int64_t bytes = 0;
    bool cancelled = false;
    bool at_target = true;  // which end is being dealt with
    std::shared_ptr<NodeEnd> source;
    std::shared_ptr<NodeEnd> target;
  };

  asio::awaitable<void> Run(std::shared_ptr<Task> task);
  asio::awaitable<absl::Status> Carry(std::shared_ptr<Task> task);
  asio::awaitable<absl::Status> Pump(std::shared_ptr<Task> task);

  StreamBroker& broker_;
  const Logger log_;
  std::map<std::string, std::shared_ptr<Task>> tasks_;
  Scope scope_;
};

}  // namespace bramble::controller
