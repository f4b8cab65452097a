// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "controller/coordinator_types.h"

namespace bramble::controller {

// What takes time.
class OperationService {
 public:
  virtual ~OperationService() = default;
  virtual absl::StatusOr<Rendered> Get(const Principal& who, const std::string& id) = 0;
  // Newest first.  Filter keys: state, kind, object (a name or id), object_kind.
  virtual absl::StatusOr<Rendered> List(const Principal& who, const ListQuery& query) = 0;
  // kFailedPrecondition: finished already.
  virtual void Cancel(const Principal& who, const std::string& id, WriteOptions options,
                      WriteDone done) = 0;
};

}  // namespace bramble::controller
