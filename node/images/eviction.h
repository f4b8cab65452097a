// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/units.h"

namespace bramble::node {

struct EvictionCandidate {
  std::string digest;
  Bytes tree;     // unpacked
  Bytes archive;  // kept for neighbours; 0: it is not
  WallTime last_used{};
  bool in_use = false;  // a container here is made of it
};

struct Eviction {
  std::string digest;
  bool archive_only = false;

  friend bool operator==(const Eviction&, const Eviction&) = default;
};

// What goes so that `needed` bytes more come free, in order: first the archives, which only
// neighbours miss, then unused images, each least recently used first.  Never the tree of one in
// use, however little that frees.
std::vector<Eviction> ChooseEvictions(std::vector<EvictionCandidate> candidates, Bytes needed);

}  // namespace bramble::node
