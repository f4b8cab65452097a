// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace bramble::cli {

// Finds "Ctrl-a q" in what is typed.  Ctrl-a a is one Ctrl-a; Ctrl-a and anything else is both.
class EscapeKeys {
 public:
  struct Typed {
    std::string send;
    bool leave = false;
  };
  Typed Add(std::string_view keys) {
    constexpr char kCtrlA = 0x01;
    Typed typed;
    for (const char key : keys) {
      if (!after_ctrl_a_) {
        after_ctrl_a_ = key == kCtrlA;
        if (!after_ctrl_a_) {
          typed.send += key;
        }
        continue;
      }
      after_ctrl_a_ = false;
      if (key == 'q') {
        typed.leave = true;
        return typed;
      }
      typed.send += kCtrlA;
      if (key != 'a' && key != kCtrlA) {
        typed.send += key;
      }
    }
    return typed;
  }

 private:
  bool after_ctrl_a_ = false;
};

}  // namespace bramble::cli
