// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/lane.h"
#include "base/log.h"
#include "node/agent/agent.h"
#include "node/uplink/controller_access.h"

namespace bramble::node {

// Fetches archives from the controller: GET /v1/blobs/<digest> with the node's certificate, going
// on where an earlier try left off.  The bytes are written on `disk`; who reads them checks the
// digest.
class BlobSource : public ImageSource {
 public:
  BlobSource(ControllerAccess& access, Lane& disk, Logger log)
      : access_(access), disk_(disk), log_(log) {}

  asio::awaitable<absl::Status> Fetch(std::string digest, Bytes size,
                                      std::filesystem::path path) override;

 private:
  ControllerAccess& access_;
  Lane& disk_;
  const Logger log_;
};

}  // namespace bramble::node
