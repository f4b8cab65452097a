// SPDX-License-Identifier: Apache-2.0
#pragma once

// Packs and unpacks the upper directory of a container's overlay.  Both halves of the work that
// touch what the container wrote run in sandbox.h, with the directory as their root and the
// container's ids as theirs; only overlayfs's own mark of an opaque directory, which no user
// namespace sees, is read and set outside, from a descriptor of the directory (base/beneath.h).

#include <cstdint>

#include "base/units.h"
#include "node/layers/layer_format.h"

namespace bramble::node {

struct LayerPlace {
  int upper = -1;         // the directory
  uint32_t first_id = 0;  // of the host: root inside
  Bytes max_bytes{int64_t{256} * kGiB};
};

// Writes the layer to `out`.  Blocks; the process has one thread.
absl::StatusOr<LayerTotals> PackLayer(const LayerPlace& place, int out);

// Reads a layer from `in` into the directory, which is empty, verifies its hash, and returns when
// all of it is on the disk.  kDataLoss: another hash, or no end; kResourceExhausted: no room, or
// beyond a limit; kInvalidArgument: not a layer.  What was unpacked stays: the caller removes it.
absl::StatusOr<LayerTotals> UnpackLayer(const LayerPlace& place, int in);

}  // namespace bramble::node
