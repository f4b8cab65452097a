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
//       archive             as fetched; removed once it is unpacked
//       part/               being unpacked; whatever a power cut leaves of it is removed
//       tree/               the image, owned by Options::ids
//       image.json          what CachedImage says; written, and all of tree on the disk, before
//                           `part` is renamed to `tree`
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
  };

  DiskImageCache(Options options, Logger log);

  // Finds what is there and removes what was left half-done.  Call once, before the rest; blocks.
  absl::Status Open();

  std::filesystem::path ArchivePath(const std::string& digest) override;
  asio::awaitable<absl::StatusOr<CachedImage>> Add(std::string digest) override;
  absl::StatusOr<CachedImage> Find(const std::string& digest) const override;
  std::vector<CachedImage> List() const override;
  asio::awaitable<absl::Status> Collect(std::set<std::string> keep) override;

 private:
  // On the lane.
  absl::StatusOr<CachedImage> Unpack(const std::string& digest) const;
  absl::StatusOr<CachedImage> Load(const std::string& digest) const;
  absl::Status Publish(const CachedImage& image) const;

  const Options options_;
  const Logger log_;
  std::map<std::string, CachedImage> images_;
  Lane lane_{"images"};
};

}  // namespace bramble::node
