// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/disk/extents.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/status.h"

namespace bramble::sdcard {

void ExtentSet::Add(Extent extent) {
  if (extent.size == 0) {
    return;
  }
  // In order is the common case.
  if (extents_.empty() || extent.offset > extents_.back().end()) {
    extents_.push_back(extent);
    return;
  }
  auto first =
      std::lower_bound(extents_.begin(), extents_.end(), extent.offset,
                       [](const Extent& each, uint64_t offset) { return each.end() < offset; });
  auto last = first;
  while (last != extents_.end() && last->offset <= extent.end()) {
    const uint64_t end = std::max(extent.end(), last->end());
    extent.offset = std::min(extent.offset, last->offset);
    extent.size = end - extent.offset;
    ++last;
  }
  if (first == last) {
    extents_.insert(first, extent);
  } else {
    *first = extent;
    extents_.erase(first + 1, last);
  }
}

void ExtentSet::Add(const ExtentSet& other) {
  for (const Extent& extent : other.extents_) {
    Add(extent);
  }
}

uint64_t ExtentSet::bytes() const {
  uint64_t sum = 0;
  for (const Extent& extent : extents_) {
    sum += extent.size;
  }
  return sum;
}

ExtentSet ExtentSet::Aligned(uint64_t block, uint64_t end) const {
  ExtentSet grown;
  for (const Extent& extent : extents_) {
    const uint64_t from = extent.offset / block * block;
    const uint64_t to = std::min((extent.end() + block - 1) / block * block, end);
    if (to > from) {
      grown.Add({from, to - from});
    }
  }
  return grown;
}

std::vector<Extent> ExtentSet::CutAt(uint64_t piece) const {
  std::vector<Extent> pieces;
  for (const Extent& extent : extents_) {
    uint64_t at = extent.offset;
    while (at < extent.end()) {
      const uint64_t to = std::min(extent.end(), (at / piece + 1) * piece);
      pieces.push_back({at, to - at});
      at = to;
    }
  }
  return pieces;
}

bool ExtentSet::Touches(Extent extent) const {
  const auto found =
      std::lower_bound(extents_.begin(), extents_.end(), extent.offset,
                       [](const Extent& each, uint64_t offset) { return each.end() <= offset; });
  return found != extents_.end() && found->offset < extent.end();
}

absl::StatusOr<ExtentSet> DataExtents(int fd, uint64_t size) {
  ExtentSet extents;
  uint64_t at = 0;
  while (at < size) {
    const off_t data = ::lseek(fd, static_cast<off_t>(at), SEEK_DATA);
    if (data < 0 && errno == ENXIO) {
      break;
    }
    if (data < 0 && errno == EINVAL) {
      extents.Add({0, size});
      return extents;
    }
    if (data < 0) {
      return ErrnoStatus(errno, "finding the data of an image");
    }
    const off_t hole = ::lseek(fd, data, SEEK_HOLE);
    if (hole < 0) {
      return ErrnoStatus(errno, "finding the holes of an image");
    }
    const uint64_t end = std::min(static_cast<uint64_t>(hole), size);
    if (static_cast<uint64_t>(data) >= end) {
      break;
    }
    extents.Add({static_cast<uint64_t>(data), end - static_cast<uint64_t>(data)});
    at = end;
  }
  return extents;
}

}  // namespace bramble::sdcard
