// SPDX-License-Identifier: Apache-2.0
#pragma once

// The writable layer of a container, and the limit of its size: by project quota where the file
// system has it, else by a file system of that size in a sparse file.

#include <string>
#include <vector>

#include "node/runtime/container_record.h"

#include "absl/status/statusor.h"

namespace bramble::node {

// Makes the layer in `directory` (of the container), or brings an existing one to the limit that
// `record.spec` asks for; records what was done in `record`.  In a private mount namespace: the
// layer's file system is mounted in it where it has one.
// kResourceExhausted: no room.
absl::Status PrepareLayer(const RuntimePaths& paths, int directory, ContainerRecord& record);

// Removes the layer with all that was written.  Not mounted anywhere.
absl::Status RemoveLayer(int directory);

// A new limit for the layer of a running container; says in `degraded` when it will count only at
// the next start.
absl::Status ResizeRunningLayer(int directory, ContainerRecord& record);

}  // namespace bramble::node
