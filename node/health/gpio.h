// SPDX-License-Identifier: Apache-2.0
#pragma once

// The pins of a board, as far as the kernel drives them.

#include <filesystem>
#include <vector>

#include "api/node.h"

namespace bramble::node {

class GpioChips {
 public:
  virtual ~GpioChips() = default;
  // Every chip of this machine, by number, at most api::kMaxGpioChips; empty where there is none.
  virtual std::vector<api::GpioChip> List() = 0;
};

// By libgpiod.  Opens each chip for a moment and takes no line, so that nobody else's use of one is
// disturbed; cheap enough for each connection to the controller.
class GpiodChips : public GpioChips {
 public:
  // `dev` is /dev.
  explicit GpiodChips(std::filesystem::path dev) : dev_(std::move(dev)) {}
  std::vector<api::GpioChip> List() override;

 private:
  const std::filesystem::path dev_;
};

}  // namespace bramble::node
