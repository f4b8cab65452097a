// SPDX-License-Identifier: Apache-2.0
#pragma once

// Uploads that may be interrupted: a file of a size said beforehand that grows at its end, over as
// many requests as it takes, until its SHA-256 makes it a blob.  They outlive the program.

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "controller/images/blob_store.h"

namespace bramble::controller {

inline constexpr size_t kMaxUploads = 32;
// After the last byte that came.
inline constexpr std::chrono::hours kUploadKept{24};

struct UploadAbout {
  std::string id;
  std::string owner;     // the id of who began it: nobody else sees it
  std::string expected;  // SHA-256, hex; empty: said at the end, or never
  int64_t size = 0;      // of the whole
  int64_t offset = 0;    // bytes that are there
  WallTime expires_at{};
};

// Loop only; what blocks runs on the lane.  A disk below BlobPaths::Uploads():
//
//   ID.json   owner, size, expected; written when it begins
//   ID.data   what came
class UploadStore {
 public:
  struct Parts {
    BlobStore& blobs;
    Lane& lane;
    Random& random;
    const Clock& clock;
    Logger log;
  };
  // Finds what is there, and removes what is broken or too old.  Blocks.
  static absl::StatusOr<std::unique_ptr<UploadStore>> Open(BlobPaths paths, Parts parts);
  ~UploadStore();

  // A new upload, or the one that the same owner began of the same size and digest, to go on with.
  // kResourceExhausted: over the limit of their number, or no room for all of it.
  asio::awaitable<absl::StatusOr<UploadAbout>> Begin(std::string owner, int64_t size,
                                                     std::string expected);
  // kNotFound: unknown, expired, or another's.
  absl::StatusOr<UploadAbout> Get(const std::string& owner, const std::string& id) const;
  std::vector<UploadAbout> List(const std::string& owner) const;

  // Bytes that come in one request.  A later Append of the same upload takes it over: the earlier
  // one's writes fail from then on.
  class Append {
   public:
    virtual ~Append() = default;
    // kAborted: taken over; kInvalidArgument: beyond the upload's size; kResourceExhausted: the
    // disk is full.
    virtual asio::awaitable<absl::Status> Write(std::string piece) = 0;
    // What was written is on the disk, and counts.  Also after a Write that failed.
    virtual asio::awaitable<absl::StatusOr<UploadAbout>> End() = 0;
  };
  // kFailedPrecondition with the code "wrong_offset": `first` is not where it goes on.
  absl::StatusOr<std::unique_ptr<Append>> BeginAppend(const std::string& owner,
                                                      const std::string& id, int64_t first);

  // Makes a blob of it, and ends it.  kFailedPrecondition: not all of it is there;
  // kInvalidArgument: its bytes have another digest than `expected` (empty: than Begin was told;
  // both empty: any), and it is gone: it cannot be mended.
  asio::awaitable<absl::StatusOr<StoredBlob>> Finish(std::string owner, std::string id,
                                                     std::string expected);
  // Forgets it and its bytes.
  absl::Status Remove(const std::string& owner, const std::string& id);

  // Removes those that nobody went on with for kUploadKept; gives how many.
  size_t RemoveExpired();
  size_t size() const { return uploads_.size(); }

 private:
  struct File;
  struct Entry;
  class FileAppend;

  UploadStore(BlobPaths paths, Parts parts);
  absl::Status Scan();
  absl::StatusOr<std::shared_ptr<Entry>> Find(const std::string& owner,
                                              const std::string& id) const;
  void Drop(const std::shared_ptr<Entry>& entry);
  void Forget(const std::shared_ptr<Entry>& entry);
  void RemoveFiles(const std::shared_ptr<Entry>& entry);
  WallTime Now() const { return parts_.clock.Wall(); }

  const BlobPaths paths_;
  const Parts parts_;
  std::map<std::string, std::shared_ptr<Entry>> uploads_;
};

}  // namespace bramble::controller
