// SPDX-License-Identifier: Apache-2.0
#pragma once

// The bytes of images on the controller's disk, each file named by the SHA-256 of what is in it.
// What an image is called is the coordinator's (controller/coordinator_images.h).

#include <filesystem>
#include <functional>
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
#include "controller/images/piece_hasher.h"
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

// kInvalidArgument that names both.
absl::Status WrongDigest(std::string_view actual, std::string_view expected);

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
  // What each of its pieces of kPieceBytes must be, likewise.
  asio::awaitable<absl::StatusOr<PieceDigests>> PiecesOf(std::string digest);

  // ---- For uploads that are kept elsewhere (upload_store.h)

  // Room for `bytes` more of a blob that has `so_far`; takes it until Release.
  // kResourceExhausted: too large, over the quota, or more than the disk has; names what has the
  // room.
  absl::Status Reserve(int64_t so_far, int64_t bytes);
  void Release(int64_t bytes) { incoming_ -= bytes; }
  struct WholeFile {
    std::filesystem::path path;  // on the store's own file system, synced; it is renamed
    std::string digest;
    int64_t size = 0;
    PieceDigests pieces;
  };
  // Gives `file` its name in the store.
  asio::awaitable<absl::StatusOr<StoredBlob>> Adopt(WholeFile file);

  // Adds to a status that says that there is no room what can be done; other statuses stay.
  absl::Status Explain(const absl::Status& status) const;
  // Says what takes the room, for errors: "debian:12 (300 MiB), web:latest (20 MiB)".
  void SetWhatTakesRoom(std::function<std::string()> largest) { largest_ = std::move(largest); }

  // Removes every blob that is neither in `used` nor pinned; gives how many.
  asio::awaitable<size_t> RemoveUnused(std::set<std::string> used);

  bool Has(const std::string& digest) const { return known_.contains(digest); }
  // 0: there is none.
  int64_t SizeOf(const std::string& digest) const {
    const auto found = known_.find(digest);
    return found == known_.end() ? 0 : found->second.size;
  }
  // What keeps a blob that is there while somebody gives it a name.
  BlobPin Pin(const std::string& digest);
  int64_t total_bytes() const { return total_; }

 private:
  class FileUpload;
  struct Known {
    int64_t size = 0;
    PieceDigests pieces;  // null: not verified since the program started
  };

  BlobStore(BlobStoreOptions options, asio::io_context& loop, Lane& lane, Random& random,
            Logger log);
  absl::Status Scan();
  absl::Status NoRoom(std::string_view why) const;
  void Add(const StoredBlob& blob, PieceDigests pieces);
  // Until it is verified, by this or by another who asks.
  asio::awaitable<absl::Status> MakeSure(std::string digest);
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
  std::function<std::string()> largest_;
  int64_t total_ = 0;
  int64_t incoming_ = 0;
};

}  // namespace bramble::controller
