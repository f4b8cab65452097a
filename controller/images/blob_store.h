// SPDX-License-Identifier: Apache-2.0
#pragma once

// The bytes of images on the controller's disk, each file named by the SHA-256 of what is in it.
// What an image is called is the coordinator's (controller/coordinator_images.h).

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/asio.h"
#include "base/fd.h"
#include "base/lane.h"
#include "base/log.h"
#include "base/random.h"
#include "base/timer.h"
#include "base/units.h"
#include "controller/store/paths.h"

#include "absl/status/statusor.h"

namespace bramble::controller {

struct BlobStoreOptions {
  std::filesystem::path root;
  Bytes max_blob{16 * kGiB};
  Bytes quota{0};  // of all blobs; 0: none
};

// Keeps a blob from being removed as unused while it is not yet named by an image.
using BlobPin = std::shared_ptr<const std::string>;

struct StoredBlob {
  std::string digest;
  Bytes size;
  BlobPin pin;
};

struct OpenBlob {
  std::shared_ptr<Fd> fd;
  uint64_t size = 0;
};

// Loop only; what blocks runs on the lane.
class BlobStore {
 public:
  // Makes the directories, removes what uploads left behind, and lists what is there.  Blocks.
  static absl::StatusOr<std::unique_ptr<BlobStore>> Open(BlobStoreOptions options,
                                                         asio::io_context& loop, Lane& lane,
                                                         Random& random, Logger log);

  // One blob on its way in: a temporary file, removed unless Finish() succeeded.
  class Upload {
   public:
    virtual ~Upload() = default;
    // kResourceExhausted: too large, over the quota, or the disk is full; what is there stays.
    virtual asio::awaitable<absl::Status> Write(std::string piece) = 0;
    // Syncs, and gives the blob its name.  kInvalidArgument: not the `expected` digest (empty:
    // any).
    virtual asio::awaitable<absl::StatusOr<StoredBlob>> Finish(std::string expected) = 0;
  };
  absl::StatusOr<std::unique_ptr<Upload>> Begin();

  // The blob, which was read and compared with its name since the program started.  kNotFound;
  // kDataLoss: damaged, and put aside.
  asio::awaitable<absl::StatusOr<OpenBlob>> OpenVerified(std::string digest);

  // Removes every blob that is neither in `used` nor pinned; gives how many.
  asio::awaitable<size_t> RemoveUnused(std::set<std::string> used);

  bool Has(const std::string& digest) const { return known_.contains(digest); }
  int64_t total_bytes() const { return total_; }

 private:
  class FileUpload;
  struct Known {
    int64_t size = 0;
    bool verified = false;
  };

  BlobStore(BlobStoreOptions options, asio::io_context& loop, Lane& lane, Random& random,
            Logger log);
  absl::Status Scan();
  // Room for `bytes` more of an upload that has `so_far`; takes it.
  absl::Status Reserve(int64_t so_far, int64_t bytes);
  void Release(int64_t bytes) { incoming_ -= bytes; }
  void Add(const StoredBlob& blob);
  asio::awaitable<absl::Status> Verify(std::string digest);

  const BlobStoreOptions options_;
  const BlobPaths paths_;
  asio::io_context& loop_;
  Lane& lane_;
  Random& random_;
  const Logger log_;
  bool IsPinned(const std::string& digest) const;

  std::map<std::string, Known> known_;
  std::map<std::string, std::weak_ptr<const std::string>> pins_;
  std::map<std::string, std::shared_ptr<Event>> verifying_;
  int64_t total_ = 0;
  int64_t incoming_ = 0;
};

}  // namespace bramble::controller
