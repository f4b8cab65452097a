// SPDX-License-Identifier: Apache-2.0
#pragma once

// Between what the controller says of a container and what the runtime is told.  Pure.

#include <filesystem>
#include <map>

#include "node/agent/agent_core.h"
#include "node/images/image_cache.h"
#include "node/runtime/runtime_spec.h"

#include "absl/status/statusor.h"

namespace bramble::node {

struct RuntimeSetting {
  CachedImage image;
  IdRange ids;
  std::string bridge;
  std::filesystem::path contexts;  // the directory of their files
};

// The whole definition goes along as the runtime's note, so that the runtime's own files are enough
// to know the container again.
absl::StatusOr<RuntimeSpec> MakeRuntimeSpec(const api::NodeContainer& container,
                                            const RuntimeSetting& setting);

// A container whose note cannot be read has its ids and a name made of them.
HeldContainer HeldOf(const RuntimeContainer& container);

Ended EndedOf(const RuntimeExitEvent& event);

// The number of a signal such as "SIGPWR", "SIGRTMIN+3" or "15"; SIGPWR, LXC's own default, for
// what it does not know.
int SignalNumber(std::string_view name);

// Gives every container an id range of its own.  Pure.
class IdRanges {
 public:
  IdRanges(uint32_t first, uint32_t count) : first_(first), count_(count) {}

  // What a container was given before.
  void Restore(const ContainerId& id, IdRange range) { taken_[id] = range.first; }
  // The one that it has, or the lowest free one.  kResourceExhausted: none is left.
  absl::StatusOr<IdRange> Take(const ContainerId& id);
  void Release(const ContainerId& id) { taken_.erase(id); }
  const std::map<ContainerId, uint32_t>& taken() const { return taken_; }

 private:
  const uint32_t first_;
  const uint32_t count_;
  std::map<ContainerId, uint32_t> taken_;
};

}  // namespace bramble::node
