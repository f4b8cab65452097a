// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/asio.h"
#include "base/clock.h"
#include "base/units.h"
#include "node/runtime/runtime_spec.h"

#include "absl/status/statusor.h"

namespace bramble::node {

// One unpacked image.
struct CachedImage {
  std::string digest;          // SHA-256 of the archive, 64 hexadecimal digits
  std::filesystem::path tree;  // what RuntimeSpec::image_tree wants
  IdRange ids;                 // who owns the tree; RuntimeSpec::image_ids
  Bytes unpacked;
  int64_t entries = 0;
  std::string architecture;     // "amd64", "arm64", "armhf", …; empty: not told by its programs
  int64_t skipped_devices = 0;  // device nodes in the archive: a container's /dev is its own
  Bytes archive;                // kept beside the tree for neighbour nodes; 0: it is not
  WallTime last_used{};         // to the hour
};

// The node's images, unpacked and addressed by content: `<state>/images/<digest>/tree`.
// DiskImageCache is the real one; FakeImageCache lives beside this file.
//
// Called only from the agent's loop, at most one Add per digest at a time.
class ImageCache {
 public:
  virtual ~ImageCache() = default;

  // Where the archive of `digest` is to be written before Add, on the cache's own file system.
  // Its directory exists; what an earlier try left there may be continued or overwritten.
  virtual std::filesystem::path ArchivePath(const std::string& digest) = 0;

  // Unpacks the archive at ArchivePath(digest), without privileges, and keeps it while there is
  // room.  Nothing is read from it before its SHA-256 was found to be `digest`.  Adding what is
  // there succeeds.
  // kDataLoss: other bytes than the digest says (the archive is removed: fetch it anew);
  // kInvalidArgument: not an archive that we take, and what in it is refused;
  // kResourceExhausted: beyond a limit, or no room.
  virtual asio::awaitable<absl::StatusOr<CachedImage>> Add(std::string digest) = 0;

  // kNotFound: not in the cache.  Memory only.
  virtual absl::StatusOr<CachedImage> Find(const std::string& digest) const = 0;
  // Ordered by digest.
  virtual std::vector<CachedImage> List() const = 0;

  // The archive of an unpacked image, if it is kept: its bytes are the digest's.  Memory only.
  virtual std::optional<std::filesystem::path> KeptArchive(const std::string& digest) const = 0;
  // A container of it starts.
  virtual void NoteUse(const std::string& digest) = 0;

  // Removes what broken tries left of images that are not in `in_use`, and then archives and unused
  // images, the least recently used first, until `needed` bytes more are free.
  virtual asio::awaitable<absl::Status> Collect(std::set<std::string> in_use, Bytes needed) = 0;
};

}  // namespace bramble::node
