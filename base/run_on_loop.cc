// SPDX-License-Identifier: Apache-2.0
#include "base/run_on_loop.h"

#include <boost/asio/co_spawn.hpp>

namespace bramble::run_internal {

void RunToEnd(asio::io_context& loop, asio::awaitable<void> task) {
  bool ended = false;
  std::exception_ptr failure;
  asio::co_spawn(loop, std::move(task), [&ended, &failure](std::exception_ptr thrown) {
    ended = true;
    failure = thrown;
  });
  if (loop.stopped()) {
    loop.restart();
  }
  while (!ended && loop.run_one() > 0) {
  }
  if (failure) {
    std::rethrow_exception(failure);
  }
}

}  // namespace bramble::run_internal
