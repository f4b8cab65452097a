// SPDX-License-Identifier: Apache-2.0
#include "base/timer.h"

#include <algorithm>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>

namespace bramble {

asio::awaitable<void> SleepFor(LoopDuration duration) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  timer.expires_after(duration);
  co_await timer.async_wait(asio::use_awaitable);
}

struct Event::Waiter {
  Waiter(std::vector<Waiter*>& list_in, asio::io_context& loop) : list(list_in), timer(loop) {
    list.push_back(this);
  }
  ~Waiter() { std::erase(list, this); }

  std::vector<Waiter*>& list;
  asio::steady_timer timer;
  bool woken = false;
};

Event::Event(asio::io_context& loop) : loop_(loop) {}
Event::~Event() = default;

void Event::Set() {
  set_ = true;
  for (Waiter* waiter : waiters_) {
    waiter->woken = true;
    waiter->timer.cancel();
  }
}

asio::awaitable<void> Event::Wait() {
  if (set_) {
    co_return;
  }
  Waiter waiter(waiters_, loop_);
  waiter.timer.expires_at(asio::steady_timer::time_point::max());
  co_await waiter.timer.async_wait(asio::as_tuple(asio::use_awaitable));
}

asio::awaitable<bool> Event::WaitFor(LoopDuration limit) {
  if (set_) {
    co_return true;
  }
  Waiter waiter(waiters_, loop_);
  waiter.timer.expires_after(limit);
  co_await waiter.timer.async_wait(asio::as_tuple(asio::use_awaitable));
  co_return waiter.woken || set_;
}

namespace timer_internal {
namespace {

struct Race {
  explicit Race(const asio::any_io_executor& executor) : timer(executor) {}
  asio::cancellation_signal stop;
  asio::steady_timer timer;
  bool late = false;
  bool done = false;
};

}  // namespace

asio::awaitable<bool> CancelAfter(asio::awaitable<void> task, LoopDuration limit) {
  const auto executor = co_await asio::this_coro::executor;
  const auto cancellation = co_await asio::this_coro::cancellation_state;
  const auto race = std::make_shared<Race>(executor);
  race->timer.expires_after(limit);
  race->timer.async_wait([race](boost::system::error_code error) {
    if (!error && !race->done) {
      race->late = true;
      race->stop.emit(asio::cancellation_type::terminal);
    }
  });
  // The task runs on a thread of coroutines of its own; cancelling us is passed on to it.
  asio::cancellation_slot ours = cancellation.slot();
  if (ours.is_connected()) {
    ours.assign([race](asio::cancellation_type type) { race->stop.emit(type); });
  }
  auto token = asio::bind_cancellation_slot(race->stop.slot(), asio::as_tuple(asio::use_awaitable));
  auto [failure] = co_await asio::co_spawn(executor, std::move(task), std::move(token));
  race->done = true;
  race->timer.cancel();
  if (ours.is_connected()) {
    ours.clear();
  }
  if (failure && !race->late) {
    std::rethrow_exception(failure);
  }
  co_return race->late;
}

}  // namespace timer_internal
}  // namespace bramble
