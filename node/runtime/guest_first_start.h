// SPDX-License-Identifier: Apache-2.0
#pragma once

// The minimal first start, for images without cloud-init: keys and a user are written before the
// container's init runs, scripts run after it has started, once in the life of a writable layer.
// What became of them is in the layer, so that it goes where the layer goes:
//
//   /var/lib/bramble/first-start/     0700 root
//     prepared                        all of this was written
//     scripts/NN-NAME                 0700, run in this order
//     begun/                          made by what runs them, before the first one
//     ended                           their exit code
//   /var/log/bramble-first-start.log  what they printed

#include <string>
#include <string_view>
#include <vector>

#include "api/context.h"
#include "node/runtime/runtime_spec.h"

#include "absl/status/statusor.h"

namespace bramble::node {

// What `root` is to be told: what its label says, or what its tree shows.
api::ContextMode ContextModeOf(int root, std::string_view label);

// Writes what is missing of a first start into the tree at `root`, beneath it, and says what is
// due. As the caller's user, who is root of the tree's ids, the first of which is `first_id` as the
// caller sees it.  The tree is not to be trusted.
absl::StatusOr<FirstStart> PrepareFirstStart(int root, uint32_t first_id,
                                             const api::Context& context);

}  // namespace bramble::node
