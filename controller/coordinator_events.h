// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "controller/coordinator_types.h"

namespace bramble::controller {

// Every change, in order.  An event is seen only once it is durable.
class EventService {
 public:
  virtual ~EventService() = default;

  struct Seen {
    uint64_t revision = 0;  // several events may share one
    std::string type;
    SharedText body;  // api::Event as JSON
  };
  // At most `limit` events after `revision`, oldest first, of objects that `who` may read.
  // kOutOfRange: older than what is kept; the caller lists anew.
  virtual absl::StatusOr<std::vector<Seen>> Since(const Principal& who, uint64_t revision,
                                                  size_t limit) = 0;
  // The revision of the newest durable event.
  virtual uint64_t Newest() const = 0;
  // Calls `wake` (with no argument: ask Since) after new events became durable, until the returned
  // subscription is destroyed.
  class Subscription {
   public:
    virtual ~Subscription() = default;
  };
  virtual std::unique_ptr<Subscription> Subscribe(std::function<void()> wake) = 0;
};

}  // namespace bramble::controller
