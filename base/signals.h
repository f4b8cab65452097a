// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/asio.h"

namespace bramble {

// Waits for SIGTERM or SIGINT, and gives its number.
asio::awaitable<int> WaitForStopSignal();

// A peer that hangs up must not end the process: call first in main.
void IgnoreSigpipe();

}  // namespace bramble
