// SPDX-License-Identifier: Apache-2.0
#include "base/scope.h"

#include <exception>
#include <map>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>

#include "base/timer.h"

namespace bramble {
namespace {

// How long the destructor waits for tasks that do not end.
constexpr std::chrono::seconds kMaxUnwind{10};

bool IsCancellation(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const boost::system::system_error& error) {
    return error.code() == asio::error::operation_aborted;
  } catch (...) {
    return false;
  }
}

std::string WhatOf(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "unknown exception";
  }
}

// Off the loop, an emitted signal reaches its task only on the loop's next turn, by a pointer
// (Boost 1.81, co_spawn_cancellation_handler): it must live until then.
template <typename Signals>
void KeepUntilEmitted(asio::io_context& loop, Signals signals) {
  asio::post(loop, [kept = std::move(signals)] { static_cast<void>(kept); });
}

}  // namespace

struct Scope::State {
  State(asio::io_context& loop, Logger log_in) : log(log_in), idle(loop) { idle.Set(); }

  void Ended(uint64_t id, std::string_view name, const std::exception_ptr& failure,
             const absl::Status& status) {
    if (failure && !IsCancellation(failure)) {
      log.Error("task_failed", {{"task", name}, {"error", WhatOf(failure)}});
    } else if (!failure && !status.ok() && !(cancelled && absl::IsCancelled(status))) {
      log.Error("task_failed", {{"task", name}, {"error", status}});
    }
    tasks.erase(id);
    if (tasks.empty()) {
      idle.Set();
    }
  }

  Logger log;
  bool cancelled = false;
  uint64_t next_id = 0;
  std::map<uint64_t, std::shared_ptr<asio::cancellation_signal>> tasks;
  Event idle;
};

Scope::Scope(asio::io_context& loop, Logger log)
    : loop_(loop), state_(std::make_shared<State>(loop, log)) {}

Scope::~Scope() {
  Cancel();
  const auto deadline = std::chrono::steady_clock::now() + kMaxUnwind;
  while (!state_->tasks.empty() && std::chrono::steady_clock::now() < deadline) {
    if (loop_.stopped()) {
      loop_.restart();
    }
    if (loop_.run_one_until(deadline) == 0) {
      break;
    }
  }
  if (!state_->tasks.empty()) {
    state_->log.Error("scope_abandoned", {{"tasks", state_->tasks.size()}});
  }
}

void Scope::Cancel() {
  state_->cancelled = true;
  // A task may end, and leave the map, while it is told to.
  const auto tasks = state_->tasks;
  for (const auto& [id, signal] : tasks) {
    signal->emit(asio::cancellation_type::terminal);
  }
  KeepUntilEmitted(loop_, tasks);
}

asio::awaitable<void> Scope::Join() {
  const std::shared_ptr<State> state = state_;
  Cancel();
  while (!state->tasks.empty()) {
    co_await state->idle.Wait();
  }
}

asio::awaitable<void> Scope::Drain() {
  const std::shared_ptr<State> state = state_;
  while (!state->tasks.empty()) {
    co_await state->idle.Wait();
  }
}

size_t Scope::running() const { return state_->tasks.size(); }

void Spawn(Scope& scope, std::string_view name, asio::awaitable<absl::Status> task) {
  const std::shared_ptr<Scope::State> state = scope.state_;
  const uint64_t id = state->next_id++;
  const auto signal = std::make_shared<asio::cancellation_signal>();
  state->tasks.emplace(id, signal);
  state->idle.Reset();
  auto ended = [state, id, name](const std::exception_ptr& failure, const absl::Status& status) {
    state->Ended(id, name, failure, status);
  };
  asio::co_spawn(scope.loop_, std::move(task),
                 asio::bind_cancellation_slot(signal->slot(), std::move(ended)));
  if (state->cancelled) {
    signal->emit(asio::cancellation_type::terminal);
    KeepUntilEmitted(scope.loop_, signal);
  }
}

namespace {

asio::awaitable<absl::Status> ThenOk(asio::awaitable<void> task) {
  co_await std::move(task);
  co_return absl::OkStatus();
}

}  // namespace

void Spawn(Scope& scope, std::string_view name, asio::awaitable<void> task) {
  Spawn(scope, name, ThenOk(std::move(task)));
}

}  // namespace bramble
