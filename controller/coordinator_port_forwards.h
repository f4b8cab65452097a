// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "controller/coordinator_types.h"

namespace bramble::controller {

// Ports of the controller's uplink that lead to containers.
class PortForwardService {
 public:
  virtual ~PortForwardService() = default;
  // Filter keys: name, protocol, port, container, project.
  virtual absl::StatusOr<Rendered> List(const Principal& who, const ListQuery& query) = 0;
  // kAlreadyExists (port_in_use): forwarded already, or the controller itself answers there.
  // kFailedPrecondition: this controller has no uplink.
  virtual void Add(const Principal& who, api::PortForward forward, WriteOptions options,
                   WriteDone done) = 0;
  virtual void Delete(const Principal& who, const std::string& name, WriteOptions options,
                      WriteDone done) = 0;
};

}  // namespace bramble::controller
