// SPDX-License-Identifier: Apache-2.0
#include "node/health/indicator.h"

#include <algorithm>
#include <array>

#include "base/file.h"
#include "base/status.h"
#include "base/timer.h"

namespace bramble::node {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxTriggerBytes = 16 * 1024;
constexpr std::chrono::milliseconds kHalfPeriod{125};

}  // namespace

// What a LED showed, put back whichever way the blinking ends.
class LedIndicator::SavedLed {
 public:
  static absl::StatusOr<SavedLed> Take(fs::path led) {
    BRAMBLE_ASSIGN_OR_RETURN(const std::string triggers,
                             ReadFile(led / "trigger", kMaxTriggerBytes));
    BRAMBLE_ASSIGN_OR_RETURN(std::string brightness,
                             ReadFile(led / "brightness", kMaxTriggerBytes));
    brightness.erase(brightness.find_last_not_of('\n') + 1);
    BRAMBLE_RETURN_IF_ERROR(WriteToExisting(led / "trigger", "none"));
    return SavedLed(std::move(led), ActiveTrigger(triggers), std::move(brightness));
  }
  SavedLed(SavedLed&& other) noexcept
      : led_(std::exchange(other.led_, {})),
        trigger_(std::move(other.trigger_)),
        brightness_(std::move(other.brightness_)) {}
  ~SavedLed() {
    if (led_.empty()) {
      return;
    }
    // The brightness first: a trigger that is set sets its own.
    WriteToExisting(led_ / "brightness", brightness_).IgnoreError();
    if (!trigger_.empty()) {
      WriteToExisting(led_ / "trigger", trigger_).IgnoreError();
    }
  }

 private:
  SavedLed(fs::path led, std::string trigger, std::string brightness)
      : led_(std::move(led)), trigger_(std::move(trigger)), brightness_(std::move(brightness)) {}

  fs::path led_;
  std::string trigger_;
  std::string brightness_;
};

asio::awaitable<void> LedIndicator::KeepBlinking(SavedLed saved, fs::path led,
                                                 std::shared_ptr<Blinking> blinking) {
  const SavedLed held = std::move(saved);
  for (bool on = true; blinking->halves_left > 0; --blinking->halves_left, on = !on) {
    WriteToExisting(led / "brightness", on ? "1" : "0").IgnoreError();
    co_await SleepFor(kHalfPeriod);
  }
}

LedIndicator::LedIndicator(asio::io_context& loop, fs::path sys, Logger log)
    : leds_(std::move(sys) / "class/leds"), scope_(loop, log) {}

LedIndicator::~LedIndicator() = default;

absl::StatusOr<std::string> LedIndicator::Blink(std::chrono::seconds time) {
  const int64_t halves = std::chrono::milliseconds(time) / kHalfPeriod;
  if (blinking_->halves_left > 0) {
    blinking_->halves_left = halves;
    return blinking_->name;
  }
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(leds_, error), end; !error && at != end; at.increment(error)) {
    names.push_back(at->path().filename().string());
  }
  const std::optional<std::string> name = ChooseLed(std::move(names));
  if (!name.has_value()) {
    return absl::NotFoundError("this machine has no LED that can be blinked");
  }
  BRAMBLE_ASSIGN_OR_RETURN(SavedLed saved, SavedLed::Take(leds_ / *name));
  *blinking_ = {.name = *name, .halves_left = halves};
  Spawn(scope_, "blink", KeepBlinking(std::move(saved), leds_ / *name, blinking_));
  return *name;
}

std::optional<std::string> ChooseLed(std::vector<std::string> names) {
  for (const std::string_view preferred : {"ACT", "led0", "PWR", "led1"}) {
    if (std::find(names.begin(), names.end(), preferred) != names.end()) {
      return std::string(preferred);
    }
  }
  // "input3::capslock" of a keyboard, "eth0-0:amber:lan" and "mmc0::" of ports.
  constexpr std::array<std::string_view, 4> kOthers = {"input", "eth", "enp", "mmc"};
  std::sort(names.begin(), names.end());
  for (std::string& name : names) {
    const bool other = std::any_of(kOthers.begin(), kOthers.end(), [&name](std::string_view kind) {
      return name.starts_with(kind);
    });
    if (!other) {
      return std::move(name);
    }
  }
  return std::nullopt;
}

std::string ActiveTrigger(std::string_view triggers) {
  const size_t open = triggers.find('[');
  const size_t close = triggers.find(']', open == std::string_view::npos ? 0 : open);
  if (open == std::string_view::npos || close == std::string_view::npos) {
    return "";
  }
  return std::string(triggers.substr(open + 1, close - open - 1));
}

}  // namespace bramble::node
