// SPDX-License-Identifier: Apache-2.0
#include "base/signals.h"

#include <csignal>

#include <boost/asio/signal_set.hpp>

namespace bramble {

asio::awaitable<int> WaitForStopSignal() {
  asio::signal_set signals(co_await asio::this_coro::executor, SIGTERM, SIGINT);
  co_return co_await signals.async_wait(asio::use_awaitable);
}

void IgnoreSigpipe() { std::signal(SIGPIPE, SIG_IGN); }

}  // namespace bramble
