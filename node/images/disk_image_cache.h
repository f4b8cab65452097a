// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>

#include "base/lane.h"
#include "base/log.h"
#include "node/images/image_cache.h"

namespace bramble::node {

// The image cache on the card:
//
//   <root>/                 0700, root's
//     <digest>/
//       archive             as fetched; kept for neighbour nodes while there is room
//       part/               being unpacked; whatever a power cut leaves of it is removed
//       tree/               the image, owned by Options::ids
//       image.json          what CachedImage says; written, and all of tree on the disk, before
//                           `part` is renamed to `tree`; its time is that of the last use
//
// Unpacking is done by bramble-unpack, one image at a time.
class DiskImageCache : public ImageCache {
 public:
  struct Options {
    std::filesystem::path root;
    std::filesystem::path unpack_program;  // bramble-unpack
    IdRange ids;                           // of the trees; no container's
    Bytes max_unpacked{16 * kGiB};         // of one image
    std::chrono::seconds deadline{3600};   // for unpacking one image
    int64_t keep_archive_percent = 30;     // of the disk that must be free for an archive to stay
  };

  DiskImageCache(Options options, Logger log);

  // Finds what is there and removes what was left half-done.  Call once, before the rest; blocks.
  absl::Status Open();

  std::filesystem::path ArchivePath(const std::string& digest) override;
  asio::awaitable<absl::StatusOr<CachedImage>> Add(std::string digest) override;
  absl::StatusOr<CachedImage> Find(const std::string& digest) const override;
  std::vector<CachedImage> List() const override;
  std::optional<std::filesystem::path> KeptArchive(const std::string& digest) const override;
  void NoteUse(const std::string& digest) override;
  asio::awaitable<absl::Status> Collect(std::set<std::string> in_use, Bytes needed) override;

 private:
  // On the lane.
  bool HasRoomForArchives() const;
  absl::StatusOr<CachedImage> Unpack(const std::string& digest) const;
  absl::StatusOr<CachedImage> Load(const std::string& digest) const;
  absl::Status Publish(const CachedImage& image) const;

  const Options options_;
  const Logger log_;
  std::map<std::string, CachedImage> images_;
  Lane lane_{"images"};
};

}  // namespace bramble::node
