// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "controller/coordinator_security_groups.h"

namespace bramble::controller {

// Second addresses of containers, which move between them while both run.
class FloatingIpService {
 public:
  virtual ~FloatingIpService() = default;
  virtual absl::StatusOr<Rendered> Get(const Principal& who, const std::string& address) = 0;
  // Filter keys: address, container, node, project.
  virtual absl::StatusOr<Rendered> List(const Principal& who, const ListQuery& query) = 0;
  // kAlreadyExists (floating_ip_attached): another container holds it and `move` was not said, or
  // this one holds it already.  kFailedPrecondition (holder_silent): its holder's node is silent
  // and may still announce it.  kResourceExhausted (address_pool_exhausted) names who holds which.
  virtual void Attach(const Principal& who, api::AttachFloatingIp request, WriteOptions options,
                      WriteDone done) = 0;
  struct Detachment {
    std::string address;
    bool force = false;  // the holder's node is silent, and a person says that it is off
  };
  virtual void Detach(const Principal& who, const Detachment& detachment, WriteOptions options,
                      WriteDone done) = 0;
};

}  // namespace bramble::controller
