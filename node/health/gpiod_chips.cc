// SPDX-License-Identifier: Apache-2.0
#include <gpiod.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <string>

#include "node/health/gpio.h"

namespace bramble::node {
namespace {

constexpr std::string_view kPrefix = "gpiochip";

struct CloseChip {
  void operator()(gpiod_chip* chip) const { gpiod_chip_close(chip); }
};
using Chip = std::unique_ptr<gpiod_chip, CloseChip>;

// Debian 12 has libgpiod 1.6, Debian 13 has 2.x, whose names differ.
#if BRAMBLE_GPIOD_MAJOR >= 2
struct FreeInfo {
  void operator()(gpiod_chip_info* info) const { gpiod_chip_info_free(info); }
};
api::GpioChip Describe(gpiod_chip* chip) {
  const std::unique_ptr<gpiod_chip_info, FreeInfo> info(gpiod_chip_get_info(chip));
  if (info == nullptr) {
    return {};
  }
  return {.name = gpiod_chip_info_get_name(info.get()),
          .label = gpiod_chip_info_get_label(info.get()),
          .lines = static_cast<int64_t>(gpiod_chip_info_get_num_lines(info.get()))};
}
#else
api::GpioChip Describe(gpiod_chip* chip) {
  return {.name = gpiod_chip_name(chip),
          .label = gpiod_chip_label(chip),
          .lines = static_cast<int64_t>(gpiod_chip_num_lines(chip))};
}
#endif

// 10 of "gpiochip10"; -1: that is no chip's name.
int NumberOf(std::string_view name) {
  if (!name.starts_with(kPrefix)) {
    return -1;
  }
  name.remove_prefix(kPrefix.size());
  int number = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  return error == std::errc() && end == name.data() + name.size() ? number : -1;
}

}  // namespace

std::vector<api::GpioChip> GpiodChips::List() {
  std::vector<int> numbers;
  std::error_code error;
  for (auto at = std::filesystem::directory_iterator(dev_, error);
       !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    const int number = NumberOf(at->path().filename().string());
    // Raspberry Pi OS has links to chips under the numbers that they once had.
    if (number >= 0 && !at->is_symlink(error)) {
      numbers.push_back(number);
    }
  }
  std::sort(numbers.begin(), numbers.end());
  std::vector<api::GpioChip> chips;
  for (const int number : numbers) {
    const std::filesystem::path path = dev_ / (std::string(kPrefix) + std::to_string(number));
    const Chip chip(gpiod_chip_open(path.c_str()));
    if (chip == nullptr || chips.size() == api::kMaxGpioChips) {
      continue;  // gone meanwhile, or no chip at all
    }
    chips.push_back(Describe(chip.get()));
  }
  return chips;
}

}  // namespace bramble::node
