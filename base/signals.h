// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <csignal>

#include <boost/asio/signal_set.hpp>

#include "base/asio.h"

namespace bramble {

// SIGTERM and SIGINT, which do not end the process any more from when this is made: make it before
// anybody is told that the program runs.  One that comes before Wait() is not lost.
class StopSignals {
 public:
  explicit StopSignals(asio::io_context& loop) : signals_(loop, SIGTERM, SIGINT) {}

  // The number of the first one.
  asio::awaitable<int> Wait() { return signals_.async_wait(asio::use_awaitable); }

 private:
  asio::signal_set signals_;
};

// A peer that hangs up must not end the process: call first in main.
void IgnoreSigpipe();

}  // namespace bramble
