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

struct Event::State {
  explicit State(asio::io_context& loop_in) : loop(loop_in) {}

  asio::io_context& loop;
  bool set = false;
  std::vector<Waiter*> waiters;
};

struct Event::Waiter {
  explicit Waiter(State& state_in) : state(state_in), timer(state_in.loop) {
    state.waiters.push_back(this);
  }
  ~Waiter() { std::erase(state.waiters, this); }

  State& state;
  asio::steady_timer timer;
  bool woken = false;
};

Event::Event(asio::io_context& loop) : state_(std::make_shared<State>(loop)) {}
Event::~Event() = default;

void Event::Set() {
  state_->set = true;
  for (Waiter* waiter : state_->waiters) {
    waiter->woken = true;
    waiter->timer.cancel();
  }
}

void Event::Reset() { state_->set = false; }
bool Event::is_set() const { return state_->set; }

asio::awaitable<void> Event::Wait() {
  const std::shared_ptr<State> state = state_;
  if (state->set) {
    co_return;
  }
  Waiter waiter(*state);
  waiter.timer.expires_at(asio::steady_timer::time_point::max());
  co_await waiter.timer.async_wait(asio::as_tuple(asio::use_awaitable));
}

asio::awaitable<bool> Event::WaitFor(LoopDuration limit) {
  const std::shared_ptr<State> state = state_;
  if (state->set) {
    co_return true;
  }
  Waiter waiter(*state);
  waiter.timer.expires_after(limit);
  co_await waiter.timer.async_wait(asio::as_tuple(asio::use_awaitable));
  co_return waiter.woken || state->set;
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
