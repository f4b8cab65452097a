// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/websocket.h"
#include "tools/bramble/controller_client.h"

#include "absl/status/statusor.h"

namespace bramble::cli {

// Joins the file descriptors of `ends` to the stream at `dial` until it ends.  Messages are binary,
// their first byte is the channel: 0 stdin, 1 stdout, 2 stderr, 3 control (JSON).  A raw terminal
// is put back as it was whatever happens.
absl::StatusOr<StreamEnd> RunTerminalStream(WebSocket::Dial dial, StreamEnds ends);

}  // namespace bramble::cli
