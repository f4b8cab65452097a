// SPDX-License-Identifier: Apache-2.0
#include "controller/images/blob_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <system_error>
#include <utility>

#include "api/image.h"
#include "base/encoding.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/status.h"

namespace bramble::controller {
namespace {

namespace fs = std::filesystem;

constexpr size_t kWriteBytes = 1 << 20;  // written at once
constexpr mode_t kDirectoryMode = 0700;

absl::Status SyncDirectory(const fs::path& path) {
  BRAMBLE_ASSIGN_OR_RETURN(const Fd fd, OpenFile(path, O_RDONLY | O_DIRECTORY));
  return ::fsync(fd.get()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, path.string());
}

absl::StatusOr<PieceHasher::Result> HashFile(const fs::path& path) {
  BRAMBLE_ASSIGN_OR_RETURN(const Fd fd, OpenFile(path, O_RDONLY));
  PieceHasher hash;
  BRAMBLE_RETURN_IF_ERROR(HashFrom(hash, fd, INT64_MAX, path.string()));
  return hash.Finish();
}

absl::Status GiveName(const fs::path& from, const BlobPaths& paths, const std::string& digest) {
  BRAMBLE_RETURN_IF_ERROR(MakeDirectories(paths.DirectoryOf(digest), kDirectoryMode));
  const fs::path to = paths.FileOf(digest);
  if (::rename(from.c_str(), to.c_str()) != 0) {
    return ErrnoStatus(errno, to.string());
  }
  BRAMBLE_RETURN_IF_ERROR(SyncDirectory(paths.Sha256()));
  return SyncDirectory(paths.DirectoryOf(digest));
}

}  // namespace

absl::Status WrongDigest(std::string_view actual, std::string_view expected) {
  return absl::InvalidArgumentError(StrCat("image: the bytes that came have SHA-256 ", actual,
                                           ", not ", expected,
                                           " as was said; send the file again"));
}

// What the lane works on is in a shared part, so that a piece under way outlives a cancelled
// upload.
class BlobStore::FileUpload : public BlobStore::Upload {
 public:
  FileUpload(BlobStore& store, fs::path path, Fd fd)
      : store_(store), file_(std::make_shared<File>()) {
    file_->path = std::move(path);
    file_->fd = std::move(fd);
  }
  ~FileUpload() override {
    store_.Release(size_);
    // After whatever of it the lane still does.
    if (!store_.lane_.Post([file = file_] { file->Remove(); })) {
      file_->Remove();
    }
  }

  asio::awaitable<absl::Status> Write(std::string piece) override {
    const int64_t bytes = static_cast<int64_t>(piece.size());
    BRAMBLE_CO_RETURN_IF_ERROR(store_.Reserve(size_, bytes));
    size_ += bytes;
    buffer_ += piece;
    if (buffer_.size() < kWriteBytes) {
      co_return absl::OkStatus();
    }
    co_return co_await WriteOut();
  }

  asio::awaitable<absl::StatusOr<StoredBlob>> Finish(std::string expected) override {
    BRAMBLE_CO_RETURN_IF_ERROR(co_await WriteOut());
    auto sync = [file = file_] { return file->Sync(); };
    absl::StatusOr<PieceHasher::Result> hash = co_await store_.lane_.Run(std::move(sync));
    BRAMBLE_CO_RETURN_IF_ERROR(hash.status());
    const std::string digest = hash->whole.Hex();
    if (!expected.empty() && digest != expected) {
      co_return WrongDigest(digest, expected);
    }
    WholeFile whole;
    whole.path = std::exchange(file_->path, fs::path());
    whole.digest = digest;
    whole.size = size_;
    whole.pieces = hash->pieces;
    co_return co_await store_.Adopt(std::move(whole));
  }

 private:
  struct File {
    fs::path path;  // empty: it is the store's now
    Fd fd;
    PieceHasher hash;

    absl::Status Write(const std::string& bytes) {
      hash.Update(bytes);
      return WriteAll(fd.get(), bytes, path.string());
    }
    absl::StatusOr<PieceHasher::Result> Sync() {
      if (::fdatasync(fd.get()) != 0) {
        return ErrnoStatus(errno, path.string());
      }
      return hash.Finish();
    }
    void Remove() {
      if (!path.empty()) {
        ::unlink(path.c_str());
        path.clear();
      }
    }
  };

  asio::awaitable<absl::Status> WriteOut() {
    auto write = [file = file_, bytes = std::move(buffer_)] { return file->Write(bytes); };
    buffer_.clear();
    const absl::Status status = co_await store_.lane_.Run(std::move(write));
    co_return store_.Explain(status);
  }

  BlobStore& store_;
  std::shared_ptr<File> file_;
  std::string buffer_;
  int64_t size_ = 0;
};

BlobStore::BlobStore(BlobStoreOptions options, asio::io_context& loop, Lane& lane, Random& random,
                     Logger log)
    : options_(std::move(options)),
      paths_{.root = options_.root},
      loop_(loop),
      lane_(lane),
      random_(random),
      log_(log) {}

absl::StatusOr<std::unique_ptr<BlobStore>> BlobStore::Open(BlobStoreOptions options,
                                                           asio::io_context& loop, Lane& lane,
                                                           Random& random, Logger log) {
  std::unique_ptr<BlobStore> store(new BlobStore(std::move(options), loop, lane, random, log));
  BRAMBLE_RETURN_IF_ERROR(store->Scan());
  return store;
}

absl::Status BlobStore::Scan() {
  std::error_code error;
  fs::remove_all(paths_.Incoming(), error);
  for (const fs::path& path : {paths_.Sha256(), paths_.Incoming(), paths_.Damaged()}) {
    BRAMBLE_RETURN_IF_ERROR(MakeDirectories(path, kDirectoryMode));
  }
  for (fs::recursive_directory_iterator at(paths_.Sha256(), error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (!api::CheckDigest(name).ok() || !at->is_regular_file(error)) {
      continue;
    }
    const int64_t size = static_cast<int64_t>(at->file_size(error));
    known_[name].size = size;
    total_ += size;
  }
  if (error) {
    return absl::UnavailableError(
        StrCat(paths_.Sha256().string(), ": ", error.message(), "; make it readable to this user"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<BlobStore::Upload>> BlobStore::Begin() {
  const fs::path path = paths_.Incoming() / HexEncode(random_.Bytes(16));
  absl::StatusOr<Fd> fd = OpenFile(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  BRAMBLE_RETURN_IF_ERROR(Explain(fd.status()));
  return std::make_unique<FileUpload>(*this, path, *std::move(fd));
}

absl::Status BlobStore::NoRoom(std::string_view why) const {
  const std::string largest = largest_ ? largest_() : "";
  return absl::ResourceExhaustedError(StrCat(
      "image: ", why, largest.empty() ? "" : StrCat("; the largest are ", largest),
      "; free some with `bramble image prune` or `bramble image delete`, or raise [limits] in "
      "controller.toml"));
}

absl::Status BlobStore::Explain(const absl::Status& status) const {
  return absl::IsResourceExhausted(status) ? NoRoom(MessageOf(status)) : status;
}

absl::Status BlobStore::Reserve(int64_t so_far, int64_t bytes) {
  if (so_far + bytes > options_.max_blob.count) {
    return NoRoom(StrCat("larger than ", ToString(options_.max_blob), " (limits.image)"));
  }
  if (options_.quota.count > 0 && total_ + incoming_ + bytes > options_.quota.count) {
    return NoRoom(StrCat("all images together would be larger than ", ToString(options_.quota),
                         " (limits.images)"));
  }
  incoming_ += bytes;
  return absl::OkStatus();
}

void BlobStore::Add(const StoredBlob& blob, PieceDigests pieces) {
  Known& known = known_[blob.digest];
  total_ += blob.size.count - known.size;
  known.size = blob.size.count;
  known.pieces = std::move(pieces);  // hashed as it was written
}

BlobPin BlobStore::Pin(const std::string& digest) {
  std::weak_ptr<const std::string>& held = pins_[digest];
  BlobPin pin = held.lock();
  if (pin == nullptr) {
    pin = std::make_shared<const std::string>(digest);
    held = pin;
  }
  return pin;
}

asio::awaitable<absl::StatusOr<StoredBlob>> BlobStore::Adopt(WholeFile file) {
  // Pinned from before the name exists.
  StoredBlob blob{.digest = file.digest, .size = Bytes{file.size}, .pin = Pin(file.digest)};
  auto name = [paths = paths_, from = file.path, digest = file.digest] {
    const absl::Status named = GiveName(from, paths, digest);
    if (!named.ok()) {
      ::unlink(from.c_str());
    }
    return named;
  };
  const absl::Status named = co_await lane_.Run(std::move(name));
  BRAMBLE_CO_RETURN_IF_ERROR(Explain(named));
  Add(blob, file.pieces);
  co_return blob;
}

asio::awaitable<absl::Status> BlobStore::MakeSure(std::string digest) {
  BRAMBLE_CO_RETURN_IF_ERROR(api::CheckDigest(digest));
  while (true) {
    const auto found = known_.find(digest);
    if (found == known_.end()) {
      co_return absl::NotFoundError(StrCat("blob ", digest, ": not found"));
    }
    if (found->second.pieces != nullptr) {
      co_return absl::OkStatus();
    }
    if (const auto busy = verifying_.find(digest); busy != verifying_.end()) {
      const std::shared_ptr<Event> done = busy->second;
      co_await done->Wait();
      continue;
    }
    BRAMBLE_CO_RETURN_IF_ERROR(co_await Verify(digest));
  }
}

asio::awaitable<absl::StatusOr<PieceDigests>> BlobStore::PiecesOf(std::string digest) {
  const absl::Status sure = co_await MakeSure(digest);
  BRAMBLE_CO_RETURN_IF_ERROR(sure);
  co_return known_.at(digest).pieces;
}

asio::awaitable<absl::StatusOr<OpenBlob>> BlobStore::OpenVerified(std::string digest) {
  const absl::Status sure = co_await MakeSure(digest);
  BRAMBLE_CO_RETURN_IF_ERROR(sure);
  BRAMBLE_CO_ASSIGN_OR_RETURN(Fd fd, OpenFile(paths_.FileOf(digest), O_RDONLY));
  struct stat about {};
  if (::fstat(fd.get(), &about) != 0) {
    co_return ErrnoStatus(errno, paths_.FileOf(digest).string());
  }
  OpenBlob blob;
  blob.fd = std::make_shared<Fd>(std::move(fd));
  blob.size = static_cast<uint64_t>(about.st_size);
  co_return blob;
}

asio::awaitable<absl::Status> BlobStore::Verify(std::string digest) {
  const auto done = std::make_shared<Event>(loop_);
  verifying_[digest] = done;
  auto hash = [path = paths_.FileOf(digest)] { return HashFile(path); };
  const absl::StatusOr<PieceHasher::Result> actual = co_await lane_.Run(std::move(hash));
  verifying_.erase(digest);
  done->Set();
  const auto found = known_.find(digest);
  if (!actual.ok() || found == known_.end()) {
    co_return actual.status();
  }
  const std::string hex = actual->whole.Hex();
  if (hex == digest) {
    found->second.pieces = actual->pieces;
    co_return absl::OkStatus();
  }
  log_.Error("blob_damaged", {{"digest", digest}, {"found", hex}});
  total_ -= found->second.size;
  known_.erase(found);
  ::rename(paths_.FileOf(digest).c_str(), (paths_.Damaged() / digest).c_str());
  co_return absl::DataLossError(StrCat("blob ", digest, ": its bytes have SHA-256 ", hex,
                                       "; it was put aside in ", paths_.Damaged().string(),
                                       "; upload the image again"));
}

bool BlobStore::IsPinned(const std::string& digest) const {
  const auto pin = pins_.find(digest);
  return pin != pins_.end() && !pin->second.expired();
}

asio::awaitable<size_t> BlobStore::RemoveUnused(std::set<std::string> used) {
  std::erase_if(pins_, [](const auto& pin) { return pin.second.expired(); });
  std::vector<fs::path> paths;
  for (auto at = known_.begin(); at != known_.end();) {
    if (used.contains(at->first) || IsPinned(at->first) || verifying_.contains(at->first)) {
      ++at;
      continue;
    }
    paths.push_back(paths_.FileOf(at->first));
    total_ -= at->second.size;
    log_.Info("blob_removed", {{"digest", at->first}, {"bytes", at->second.size}});
    at = known_.erase(at);
  }
  const size_t count = paths.size();
  if (count > 0) {
    auto remove = [paths = std::move(paths)] {
      for (const fs::path& path : paths) {
        ::unlink(path.c_str());
      }
    };
    (void)co_await lane_.Run(std::move(remove));
  }
  co_return count;
}

}  // namespace bramble::controller
