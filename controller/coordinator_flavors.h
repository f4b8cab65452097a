// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "controller/coordinator_types.h"

namespace bramble::controller {

// Named sizes of containers.
class FlavorService {
 public:
  virtual ~FlavorService() = default;
  virtual absl::StatusOr<Rendered> Get(const Principal& who, const std::string& name) = 0;
  virtual absl::StatusOr<Rendered> List(const Principal& who, const ListQuery& query) = 0;
  virtual void Create(const Principal& who, api::Flavor flavor, WriteOptions options,
                      WriteDone done) = 0;
  // Containers keep the limits that it gave them.  kFailedPrecondition: shipped with Bramble.
  virtual void Delete(const Principal& who, const std::string& name, WriteOptions options,
                      WriteDone done) = 0;
};

}  // namespace bramble::controller
