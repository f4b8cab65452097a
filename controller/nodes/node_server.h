// SPDX-License-Identifier: Apache-2.0
#pragma once

// What nodes speak to: 8444, TLS 1.3.  A connection without a certificate that is valid here may
// only join (POST /v1/join) or renew (POST /v1/renew).

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/http_server.h"
#include "base/log.h"
#include "controller/config.h"
#include "controller/coordinator.h"
#include "controller/images/blob_plan.h"
#include "controller/nodes/attempt_limiter.h"

namespace bramble::controller {

class BlobStore;
class NodeConnections;
class StreamBroker;

// What the handlers work on.  All of it outlives the server.
struct NodeServerContext {
  asio::io_context& loop;
  Coordinator* coordinator;  // set before the loop runs
  NodeConnections& connections;
  StreamBroker& streams;
  const std::unique_ptr<BlobStore>& blobs;
  const Clock& clock;
  LimitsConfig limits;
  Logger log;
  // Signs with the key that nodes have pinned: tickets for neighbours (api/blob_transfer.h).
  std::function<std::string(std::string_view message)> sign;
  AttemptLimiter limiter{AttemptLimiter::Options{}};
  BlobPlan plan{BlobPlanOptions{}};
};

// Listen() is the caller's.  `file_lane` reads blobs.
std::unique_ptr<HttpServer> MakeNodeServer(NodeServerContext& context, Lane& file_lane);

}  // namespace bramble::controller
