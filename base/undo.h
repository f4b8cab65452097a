// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <utility>
#include <vector>

namespace bramble {

// The steps that take back a multi-step set-up.  Runs them, last first, when it goes out of scope
// without Cancel().
class Undo {
 public:
  Undo() = default;
  Undo(const Undo&) = delete;
  Undo& operator=(const Undo&) = delete;
  ~Undo() {
    for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
      (*step)();
    }
  }

  void Add(std::function<void()> step) { steps_.push_back(std::move(step)); }
  // The set-up is complete: nothing is taken back.
  void Cancel() { steps_.clear(); }

 private:
  std::vector<std::function<void()>> steps_;
};

}  // namespace bramble
