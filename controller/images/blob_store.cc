// SPDX-License-Identifier: Apache-2.0
#include "controller/images/blob_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <system_error>

#include "api/image.h"
#include "base/encoding.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/status.h"

namespace bramble::controller {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPieceBytes = 1 << 20;  // written at once
constexpr mode_t kDirectoryMode = 0700;

absl::Status NoRoom(std::string_view why) {
  return absl::ResourceExhaustedError(
      StrCat("image: ", why,
             "; free some with `bramble image delete`, or raise [limits] in controller.toml"));
}

// Says what to do when the disk is full.
absl::Status Explain(const absl::Status& status) {
  return absl::IsResourceExhausted(status) ? NoRoom(MessageOf(status)) : status;
}

absl::Status SyncDirectory(const fs::path& path) {
  BRAMBLE_ASSIGN_OR_RETURN(const Fd fd, OpenFile(path, O_RDONLY | O_DIRECTORY));
  return ::fsync(fd.get()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, path.string());
}

absl::StatusOr<Sha256Digest> HashFile(const fs::path& path) {
  BRAMBLE_ASSIGN_OR_RETURN(const Fd fd, OpenFile(path, O_RDONLY));
  Sha256Stream hash;
  std::string buffer(kPieceBytes, '\0');
  while (true) {
    const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return ErrnoStatus(errno, path.string());
    }
    if (got == 0) {
      return hash.Finish();
    }
    hash.Update(std::string_view(buffer.data(), static_cast<size_t>(got)));
  }
}

}  // namespace

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
    if (buffer_.size() < kPieceBytes) {
      co_return absl::OkStatus();
    }
    co_return co_await WriteOut();
  }

  asio::awaitable<absl::StatusOr<StoredBlob>> Finish(std::string expected) override {
    BRAMBLE_CO_RETURN_IF_ERROR(co_await WriteOut());
    auto sync = [file = file_]() -> absl::StatusOr<std::string> { return file->Sync(); };
    absl::StatusOr<std::string> digest = co_await store_.lane_.Run(std::move(sync));
    BRAMBLE_CO_RETURN_IF_ERROR(digest.status());
    if (!expected.empty() && *digest != expected) {
      co_return absl::InvalidArgumentError(StrCat("image: the bytes that came have SHA-256 ",
                                                  *digest, ", not ", expected,
                                                  " as was said; send the file again"));
    }
    StoredBlob blob{.digest = *digest,
                    .size = Bytes{size_},
                    .pin = std::make_shared<const std::string>(*digest)};
    auto rename = [file = file_, paths = store_.paths_, name = *digest] {
      return file->Rename(paths, name);
    };
    // Pinned from before the name exists.
    store_.pins_[blob.digest] = blob.pin;
    const absl::Status renamed = co_await store_.lane_.Run(std::move(rename));
    BRAMBLE_CO_RETURN_IF_ERROR(Explain(renamed));
    store_.Add(blob);
    co_return blob;
  }

 private:
  struct File {
    fs::path path;  // empty: it has its own name now
    Fd fd;
    Sha256Stream hash;

    absl::Status Write(const std::string& bytes) {
      hash.Update(bytes);
      return WriteAll(fd.get(), bytes, path.string());
    }
    absl::StatusOr<std::string> Sync() {
      if (::fdatasync(fd.get()) != 0) {
        return ErrnoStatus(errno, path.string());
      }
      return hash.Finish().Hex();
    }
    absl::Status Rename(const BlobPaths& paths, const std::string& digest) {
      BRAMBLE_RETURN_IF_ERROR(MakeDirectories(paths.DirectoryOf(digest), kDirectoryMode));
      const fs::path to = paths.FileOf(digest);
      if (::rename(path.c_str(), to.c_str()) != 0) {
        return ErrnoStatus(errno, to.string());
      }
      path.clear();
      BRAMBLE_RETURN_IF_ERROR(SyncDirectory(paths.Sha256()));
      return SyncDirectory(paths.DirectoryOf(digest));
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
    co_return Explain(status);
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

void BlobStore::Add(const StoredBlob& blob) {
  Known& known = known_[blob.digest];
  total_ += blob.size.count - known.size;
  known.size = blob.size.count;
  known.verified = true;  // hashed as it was written
}

asio::awaitable<absl::StatusOr<OpenBlob>> BlobStore::OpenVerified(std::string digest) {
  BRAMBLE_CO_RETURN_IF_ERROR(api::CheckDigest(digest));
  const auto missing = absl::NotFoundError(StrCat("blob ", digest, ": not found"));
  while (true) {
    const auto found = known_.find(digest);
    if (found == known_.end()) {
      co_return missing;
    }
    if (found->second.verified) {
      break;
    }
    if (const auto busy = verifying_.find(digest); busy != verifying_.end()) {
      const std::shared_ptr<Event> done = busy->second;
      co_await done->Wait();
      continue;
    }
    BRAMBLE_CO_RETURN_IF_ERROR(co_await Verify(digest));
  }
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
  const absl::StatusOr<Sha256Digest> actual = co_await lane_.Run(std::move(hash));
  verifying_.erase(digest);
  done->Set();
  const auto found = known_.find(digest);
  if (!actual.ok() || found == known_.end()) {
    co_return actual.status();
  }
  if (actual->Hex() == digest) {
    found->second.verified = true;
    co_return absl::OkStatus();
  }
  log_.Error("blob_damaged", {{"digest", digest}, {"found", actual->Hex()}});
  total_ -= found->second.size;
  known_.erase(found);
  ::rename(paths_.FileOf(digest).c_str(), (paths_.Damaged() / digest).c_str());
  co_return absl::DataLossError(StrCat("blob ", digest, ": its bytes have SHA-256 ", actual->Hex(),
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
