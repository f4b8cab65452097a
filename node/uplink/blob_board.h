// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/asio.h"
#include "base/fd.h"
#include "base/timer.h"

namespace bramble::node {

// The archives that this node is getting, for its neighbours: each is served up to where it was
// checked.  Loop only.
class BlobBoard {
 public:
  struct Entry {
    explicit Entry(asio::io_context& loop) : changed(loop) {}

    std::shared_ptr<Fd> file;  // for reading
    uint64_t size = 0;         // of the whole
    uint64_t good = 0;         // bytes from the start that are what they must be
    bool ended = false;        // no more will come
    Event changed;
  };
  // Of all images since the agent started, in bytes.
  struct Counters {
    uint64_t from_controller = 0;
    uint64_t from_neighbours = 0;
    uint64_t to_neighbours = 0;
  };

  explicit BlobBoard(asio::io_context& loop) : loop_(loop) {}

  std::shared_ptr<Entry> Begin(const std::string& digest, std::shared_ptr<Fd> file, uint64_t size,
                               uint64_t good) {
    End(digest);
    auto entry = std::make_shared<Entry>(loop_);
    entry->file = std::move(file);
    entry->size = size;
    entry->good = good;
    entries_[digest] = entry;
    return entry;
  }
  // nullptr: none.
  std::shared_ptr<Entry> Find(const std::string& digest) const {
    const auto found = entries_.find(digest);
    return found == entries_.end() ? nullptr : found->second;
  }
  static void Advance(Entry& entry, uint64_t good) {
    entry.good = good;
    entry.changed.Set();
  }
  void End(const std::string& digest) {
    if (const auto entry = entries_.extract(digest); !entry.empty()) {
      entry.mapped()->ended = true;
      entry.mapped()->changed.Set();
    }
  }

  Counters counters;

 private:
  asio::io_context& loop_;
  std::map<std::string, std::shared_ptr<Entry>> entries_;
};

}  // namespace bramble::node
