// SPDX-License-Identifier: Apache-2.0
#pragma once

// `bramble-unpack pack-layer|unpack-layer --upper-fd N --first-id N --result-fd N`: the layer goes
// to standard output or comes from standard input; {"entries", "bytes", "sha256"}, or {"code",
// "message"}, is written to the result.

#include <string_view>

namespace bramble::node {

bool IsLayerCommand(std::string_view verb);
// Gives the exit code: 0 done, 1 failed, 2 misuse.
int RunLayerCommand(int argc, char** argv);

}  // namespace bramble::node
