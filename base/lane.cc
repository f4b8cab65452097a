// SPDX-License-Identifier: Apache-2.0
#include "base/lane.h"

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include "base/status.h"

namespace bramble {

struct Lane::State {
  struct Job {
    std::function<void()> work;
    std::function<void(absl::Status)> done;  // empty when posted
  };

  bool Push(Job job) {
    {
      const std::lock_guard lock(mutex);
      if (stopping || jobs.size() >= max_waiting) {
        return false;
      }
      jobs.push_back(std::move(job));
    }
    wake.notify_one();
    return true;
  }

  void Serve() {
    std::unique_lock lock(mutex);
    for (;;) {
      wake.wait(lock, [this] { return stopping || !jobs.empty(); });
      if (stopping) {
        return;
      }
      Job job = std::move(jobs.front());
      jobs.pop_front();
      busy = true;
      lock.unlock();
      absl::Status status = Perform(job.work);
      job.work = nullptr;
      if (job.done) {
        job.done(std::move(status));
      }
      job.done = nullptr;
      lock.lock();
      busy = false;
    }
  }

  static absl::Status Perform(const std::function<void()>& work) {
    try {
      work();
      return absl::OkStatus();
    } catch (const std::exception& error) {
      return absl::InternalError(StrCat("unexpected exception: ", error.what()));
    } catch (...) {
      return absl::InternalError("unexpected exception");
    }
  }

  const std::string name;
  const size_t max_waiting;
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<Job> jobs;
  bool busy = false;
  bool stopping = false;
  std::thread thread;

  State(std::string name_in, size_t max_waiting_in)
      : name(std::move(name_in)), max_waiting(max_waiting_in) {}
};

Lane::Lane(std::string name, size_t max_waiting)
    : state_(std::make_shared<State>(std::move(name), max_waiting)) {
  state_->thread = std::thread([state = state_.get()] { state->Serve(); });
  pthread_setname_np(state_->thread.native_handle(), state_->name.substr(0, 15).c_str());
}

Lane::~Lane() {
  std::deque<State::Job> dropped;
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
    dropped.swap(state_->jobs);
  }
  state_->wake.notify_one();
  state_->thread.join();
  for (State::Job& job : dropped) {
    if (job.done) {
      job.done(absl::CancelledError(StrCat("lane ", state_->name, " is closed")));
    }
  }
}

bool Lane::Post(std::function<void()> work) { return state_->Push({std::move(work), nullptr}); }

size_t Lane::backlog() const {
  const std::lock_guard lock(state_->mutex);
  return state_->jobs.size() + (state_->busy ? 1 : 0);
}

asio::awaitable<absl::Status> Lane::RunJob(std::function<void()> job) {
  auto start = [state = state_, job = std::move(job)](auto&& handler) mutable {
    auto executor = asio::get_associated_executor(handler);
    // The loop has work as long as the lane works for it.
    auto shared = std::make_shared<std::decay_t<decltype(handler)>>(std::move(handler));
    auto guard = asio::make_work_guard(executor);
    auto done = [shared, guard = std::move(guard), executor](absl::Status status) mutable {
      asio::post(executor, [shared = std::move(shared), status = std::move(status)]() mutable {
        std::move (*shared)(std::move(status));
      });
      guard.reset();
    };
    auto done_shared = std::make_shared<decltype(done)>(std::move(done));
    const std::function<void(absl::Status)> finish = [done_shared](absl::Status status) {
      (*done_shared)(std::move(status));
    };
    if (!state->Push({std::move(job), finish})) {
      finish(absl::ResourceExhaustedError(
          StrCat("lane ", state->name, " has ", state->max_waiting, " calls waiting")));
    }
  };
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(absl::Status)>(
      std::move(start), asio::use_awaitable);
}

}  // namespace bramble
