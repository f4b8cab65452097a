// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which bytes of an image are there, and which are holes.

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace bramble::sdcard {

struct Extent {
  uint64_t offset = 0;
  uint64_t size = 0;

  uint64_t end() const { return offset + size; }
  friend bool operator==(const Extent&, const Extent&) = default;
};

// Ranges of bytes that neither touch nor overlap, in order.
class ExtentSet {
 public:
  // Joins with what it touches.
  void Add(Extent extent);
  void Add(const ExtentSet& other);
  const std::vector<Extent>& extents() const& { return extents_; }
  // Of a temporary: so that a loop over it outlives it.
  std::vector<Extent> extents() && { return std::move(extents_); }
  bool empty() const { return extents_.empty(); }
  // The sum of the sizes.
  uint64_t bytes() const;
  // Each range grown to whole blocks of `block` bytes, none beyond `end`.
  ExtentSet Aligned(uint64_t block, uint64_t end) const;
  // Cut at every multiple of `piece`, so that no range crosses one.
  std::vector<Extent> CutAt(uint64_t piece) const;
  // Whether any byte of `extent` is inside.
  bool Touches(Extent extent) const;

 private:
  std::vector<Extent> extents_;
};

// What of the open file is data and not a hole, as its file system tells (SEEK_DATA).  Where it
// cannot tell: the whole.
absl::StatusOr<ExtentSet> DataExtents(int fd, uint64_t size);

}  // namespace bramble::sdcard
