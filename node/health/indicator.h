// SPDX-License-Identifier: Apache-2.0
#pragma once

// The LED by which somebody in front of a shelf finds the board that a name belongs to.

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/asio.h"
#include "base/log.h"
#include "base/scope.h"

#include "absl/status/statusor.h"

namespace bramble::node {

class Indicator {
 public:
  virtual ~Indicator() = default;
  // Has the LED blink for `time` and gives its name at once; asked again meanwhile, it blinks for
  // `time` from then on.  kNotFound: this machine has no LED to blink.
  virtual absl::StatusOr<std::string> Blink(std::chrono::seconds time) = 0;
};

// By /sys/class/leds.  What the LED showed before (its trigger, or its brightness) is put back when
// the time is over and when the indicator goes.  Loop only.
// Source: Linux, Documentation/leds/leds-class.rst and ABI/testing/sysfs-class-led.
class LedIndicator : public Indicator {
 public:
  // `sys` is /sys.
  LedIndicator(asio::io_context& loop, std::filesystem::path sys, Logger log);
  ~LedIndicator() override;

  absl::StatusOr<std::string> Blink(std::chrono::seconds time) override;

 private:
  struct Blinking {
    std::string name;
    int64_t halves_left = 0;  // of a period; 0: nothing blinks
  };
  class SavedLed;
  static asio::awaitable<void> KeepBlinking(SavedLed saved, std::filesystem::path led,
                                            std::shared_ptr<Blinking> blinking);

  const std::filesystem::path leds_;
  std::shared_ptr<Blinking> blinking_ = std::make_shared<Blinking>();
  Scope scope_;
};

// The LED to blink of those there are: the one for activity of a Raspberry Pi ("ACT", "led0" of
// older kernels), else its power LED, else the first that is no lock key's or network port's. Pure.
std::optional<std::string> ChooseLed(std::vector<std::string> names);
// "none [mmc0] timer" -> "mmc0"; empty: none is marked.  Pure.
std::string ActiveTrigger(std::string_view triggers);

}  // namespace bramble::node
