// SPDX-License-Identifier: Apache-2.0
#pragma once

// The two halves that run inside of the sandbox: the tree is the root directory and the working
// directory.

#include <set>
#include <string>

#include "base/units.h"
#include "node/layers/layer_format.h"

namespace bramble::node {

// In the order of paths, a directory before what is in it.  Sockets, FIFOs and whiteouts are kept,
// other device nodes are not: a container has none.
absl::StatusOr<LayerTotals> PackTree(const std::set<std::string>& opaque, Bytes max_bytes, int out);

// Appends the path of each opaque directory, and a zero byte, to the file `opaque`.
absl::StatusOr<LayerTotals> UnpackTree(int in, Bytes max_bytes, int opaque);

}  // namespace bramble::node
