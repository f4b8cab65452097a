// SPDX-License-Identifier: Apache-2.0
#include "controller/images/upload_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <system_error>
#include <utility>

#include "api/image.h"
#include "api/problem.h"
#include "base/encoding.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/status.h"

namespace bramble::controller {
namespace {

namespace fs = std::filesystem;

constexpr size_t kWriteBytes = 1 << 20;
constexpr size_t kMaxAboutBytes = 4096;
constexpr mode_t kDirectoryMode = 0700;

absl::Status Unknown(const std::string& id) {
  return absl::NotFoundError(
      StrCat("upload \"", id.substr(0, 64),
             "\": not found; it is finished, expired or removed: begin another"));
}

bool IsId(const std::string& text) {
  return !text.empty() && text.size() <= 64 &&
         text.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyz") == std::string::npos;
}

fs::path AboutFile(const BlobPaths& paths, const std::string& id) {
  return paths.Uploads() / (id + ".json");
}
fs::path DataFile(const BlobPaths& paths, const std::string& id) {
  return paths.Uploads() / (id + ".data");
}

std::string Encode(const UploadAbout& about) {
  return json::serialize(
      json::object{{"owner", about.owner}, {"size_bytes", about.size}, {"sha256", about.expected}});
}

absl::StatusOr<UploadAbout> Decode(const fs::path& path) {
  BRAMBLE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxAboutBytes));
  BRAMBLE_ASSIGN_OR_RETURN(const json::value value, ParseJson(text));
  JsonObjectReader reader(value, "upload");
  UploadAbout about;
  about.owner = reader.String("owner");
  about.size = reader.Int("size_bytes", {.min = 1});
  about.expected = reader.String("sha256");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return about;
}

}  // namespace

// What the lane works on.
struct UploadStore::File {
  fs::path path;
  Fd fd;
  // Of all that was written since the upload began; none when that is not known any more.
  std::optional<PieceHasher> hash;

  absl::Status Open() {
    if (fd.valid()) {
      return absl::OkStatus();
    }
    BRAMBLE_ASSIGN_OR_RETURN(fd, OpenFile(path, O_RDWR | O_CREAT, 0600));
    return absl::OkStatus();
  }
  absl::Status WriteAt(const std::string& bytes, int64_t offset) {
    BRAMBLE_RETURN_IF_ERROR(Open());
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t put = ::pwrite(fd.get(), bytes.data() + done, bytes.size() - done,
                                   static_cast<off_t>(offset) + static_cast<off_t>(done));
      if (put < 0 && errno == EINTR) {
        continue;
      }
      if (put < 0) {
        const absl::Status failed = ErrnoStatus(errno, path.string());
        (void)!::ftruncate(fd.get(), static_cast<off_t>(offset));  // the rest would not count
        return failed;
      }
      done += static_cast<size_t>(put);
    }
    if (hash.has_value() && hash->position() == offset) {
      hash->Update(bytes);
    } else {
      hash.reset();
    }
    return absl::OkStatus();
  }
  absl::Status Sync() {
    BRAMBLE_RETURN_IF_ERROR(Open());
    return ::fdatasync(fd.get()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, path.string());
  }
  absl::StatusOr<PieceHasher::Result> Hash(int64_t size) {
    BRAMBLE_RETURN_IF_ERROR(Sync());
    if (!hash.has_value() || hash->position() != size) {
      hash.emplace();
      BRAMBLE_RETURN_IF_ERROR(HashFrom(*hash, fd, size, path.string()));
      if (hash->position() < size) {
        return absl::DataLossError(StrCat(path.string(), ": it became shorter"));
      }
    }
    PieceHasher whole = std::move(*hash);
    hash.reset();
    return whole.Finish();
  }
};

struct UploadStore::Entry {
  UploadAbout about;
  std::shared_ptr<File> file;
  uint64_t writer = 0;  // the append that may write
  bool gone = false;    // finished or removed
};

// ---- One request's bytes

class UploadStore::FileAppend : public UploadStore::Append {
 public:
  FileAppend(UploadStore& store, std::shared_ptr<Entry> entry)
      : store_(store), entry_(std::move(entry)), writer_(++entry_->writer) {}

  asio::awaitable<absl::Status> Write(std::string piece) override {
    BRAMBLE_CO_RETURN_IF_ERROR(Check());
    const int64_t end = entry_->about.offset + static_cast<int64_t>(buffer_.size() + piece.size());
    if (end > entry_->about.size) {
      co_return absl::InvalidArgumentError(
          StrCat("upload: more bytes than the ", entry_->about.size, " that it was begun with"));
    }
    buffer_ += piece;
    if (buffer_.size() < kWriteBytes) {
      co_return absl::OkStatus();
    }
    co_return co_await WriteOut();
  }

  asio::awaitable<absl::StatusOr<UploadAbout>> End() override {
    const absl::Status written = co_await WriteOut();
    BRAMBLE_CO_RETURN_IF_ERROR(written);
    auto sync = [file = entry_->file] { return file->Sync(); };
    const absl::Status synced = co_await store_.parts_.lane.Run(std::move(sync));
    BRAMBLE_CO_RETURN_IF_ERROR(synced);
    co_return entry_->about;
  }

 private:
  absl::Status Check() const {
    if (entry_->gone) {
      return Unknown(entry_->about.id);
    }
    return entry_->writer == writer_
               ? absl::OkStatus()
               : absl::AbortedError("upload: a later request went on with it");
  }

  asio::awaitable<absl::Status> WriteOut() {
    BRAMBLE_CO_RETURN_IF_ERROR(Check());
    if (buffer_.empty()) {
      co_return absl::OkStatus();
    }
    const int64_t bytes = static_cast<int64_t>(buffer_.size());
    auto write = [file = entry_->file, piece = std::exchange(buffer_, std::string()),
                  offset = entry_->about.offset] { return file->WriteAt(piece, offset); };
    const absl::Status status = co_await store_.parts_.lane.Run(std::move(write));
    BRAMBLE_CO_RETURN_IF_ERROR(store_.parts_.blobs.Explain(status));
    BRAMBLE_CO_RETURN_IF_ERROR(Check());  // another may have begun meanwhile, from before this
    entry_->about.offset += bytes;
    entry_->about.expires_at = store_.Now() + kUploadKept;
    co_return absl::OkStatus();
  }

  UploadStore& store_;
  const std::shared_ptr<Entry> entry_;
  const uint64_t writer_;
  std::string buffer_;
};

// ---- The store

UploadStore::UploadStore(BlobPaths paths, Parts parts) : paths_(std::move(paths)), parts_(parts) {}

UploadStore::~UploadStore() = default;

absl::StatusOr<std::unique_ptr<UploadStore>> UploadStore::Open(BlobPaths paths, Parts parts) {
  std::unique_ptr<UploadStore> store(new UploadStore(std::move(paths), parts));
  BRAMBLE_RETURN_IF_ERROR(store->Scan());
  return store;
}

absl::Status UploadStore::Scan() {
  BRAMBLE_RETURN_IF_ERROR(MakeDirectories(paths_.Uploads(), kDirectoryMode));
  std::error_code error;
  std::vector<fs::path> broken;
  for (fs::directory_iterator at(paths_.Uploads(), error), end; !error && at != end;
       at.increment(error)) {
    const std::string id = at->path().stem().string();
    if (at->path().extension() != ".json" || !IsId(id)) {
      if (at->path().extension() != ".data" || !fs::exists(AboutFile(paths_, id))) {
        broken.push_back(at->path());
      }
      continue;
    }
    absl::StatusOr<UploadAbout> about = Decode(at->path());
    struct stat data {};
    const bool has_data = ::stat(DataFile(paths_, id).c_str(), &data) == 0;
    const WallTime last = WallTime(std::chrono::duration_cast<WallTime::duration>(
        std::chrono::seconds(has_data ? data.st_mtim.tv_sec : 0)));
    if (!about.ok() || !has_data || last + kUploadKept < Now() || uploads_.size() >= kMaxUploads ||
        !parts_.blobs.Reserve(0, about->size).ok()) {
      broken.push_back(at->path());
      broken.push_back(DataFile(paths_, id));
      continue;
    }
    auto entry = std::make_shared<Entry>();
    entry->about = *std::move(about);
    entry->about.id = id;
    entry->about.offset = std::min<int64_t>(data.st_size, entry->about.size);
    entry->about.expires_at = last + kUploadKept;
    entry->file = std::make_shared<File>();
    entry->file->path = DataFile(paths_, id);
    uploads_[id] = std::move(entry);
  }
  for (const fs::path& path : broken) {
    parts_.log.Info("upload_removed", {{"path", path.string()}, {"why", "broken or expired"}});
    ::unlink(path.c_str());
  }
  return error ? ErrnoStatus(error.value(), paths_.Uploads().string()) : absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<UploadStore::Entry>> UploadStore::Find(const std::string& owner,
                                                                      const std::string& id) const {
  const auto found = uploads_.find(id);
  if (found == uploads_.end() || found->second->about.owner != owner ||
      found->second->about.expires_at < Now()) {
    return Unknown(id);
  }
  return found->second;
}

asio::awaitable<absl::StatusOr<UploadAbout>> UploadStore::Begin(std::string owner, int64_t size,
                                                                std::string expected) {
  RemoveExpired();
  if (!expected.empty()) {
    BRAMBLE_CO_RETURN_IF_ERROR(Annotate(api::CheckDigest(expected), "sha256"));
    for (const auto& [id, entry] : uploads_) {
      const UploadAbout& about = entry->about;
      if (about.owner == owner && about.size == size && about.expected == expected) {
        co_return about;
      }
    }
  }
  if (size <= 0) {
    co_return absl::InvalidArgumentError(
        "image: the file is empty; send a tar archive of the root file system");
  }
  if (uploads_.size() >= kMaxUploads) {
    co_return absl::ResourceExhaustedError(StrCat(
        "upload: ", kMaxUploads,
        " are under way already; finish or remove one (DELETE /v1/uploads/ID), or wait: each "
        "goes 24 hours after its last byte"));
  }
  BRAMBLE_CO_RETURN_IF_ERROR(parts_.blobs.Reserve(0, size));
  auto entry = std::make_shared<Entry>();
  entry->about.id = RandomIdText(parts_.random);
  entry->about.owner = std::move(owner);
  entry->about.size = size;
  entry->about.expected = std::move(expected);
  entry->about.expires_at = Now() + kUploadKept;
  entry->file = std::make_shared<File>();
  entry->file->path = DataFile(paths_, entry->about.id);
  entry->file->hash.emplace();
  const std::string id = entry->about.id;
  uploads_[id] = entry;
  auto make = [file = entry->file, about = AboutFile(paths_, id), text = Encode(entry->about), size,
               directory = paths_.Uploads()]() -> absl::Status {
    std::error_code error;
    const fs::space_info space = fs::space(directory, error);
    if (!error && static_cast<uintmax_t>(size) > space.available) {
      return absl::ResourceExhaustedError(
          StrCat("no room on the disk: it has ", ToString(Bytes{size}), ", and ",
                 ToString(Bytes{static_cast<int64_t>(space.available)}), " are free"));
    }
    BRAMBLE_RETURN_IF_ERROR(file->Open());
    return WriteFileAtomically(about, text, 0600);
  };
  const absl::Status made = co_await parts_.lane.Run(std::move(make));
  if (!made.ok()) {
    Drop(entry);
    co_return parts_.blobs.Explain(made);
  }
  co_return entry->about;
}

absl::StatusOr<UploadAbout> UploadStore::Get(const std::string& owner,
                                             const std::string& id) const {
  BRAMBLE_ASSIGN_OR_RETURN(const std::shared_ptr<Entry> entry, Find(owner, id));
  return entry->about;
}

std::vector<UploadAbout> UploadStore::List(const std::string& owner) const {
  std::vector<UploadAbout> all;
  for (const auto& [id, entry] : uploads_) {
    if (entry->about.owner == owner) {
      all.push_back(entry->about);
    }
  }
  return all;
}

absl::StatusOr<std::unique_ptr<UploadStore::Append>> UploadStore::BeginAppend(
    const std::string& owner, const std::string& id, int64_t first) {
  BRAMBLE_ASSIGN_OR_RETURN(std::shared_ptr<Entry> entry, Find(owner, id));
  if (first != entry->about.offset) {
    return api::WithCode(
        absl::FailedPreconditionError(
            StrCat("upload: it goes on at byte ", entry->about.offset, ", not at ", first)),
        "wrong_offset");
  }
  return std::make_unique<FileAppend>(*this, std::move(entry));
}

asio::awaitable<absl::StatusOr<StoredBlob>> UploadStore::Finish(std::string owner, std::string id,
                                                                std::string expected) {
  BRAMBLE_CO_ASSIGN_OR_RETURN(const std::shared_ptr<Entry> entry, Find(owner, id));
  const UploadAbout about = entry->about;
  if (about.offset != about.size) {
    co_return absl::FailedPreconditionError(StrCat("upload: ", about.offset, " of its ", about.size,
                                                   " bytes are there; send the rest"));
  }
  if (expected.empty()) {
    expected = about.expected;
  }
  ++entry->writer;  // nobody writes any more
  auto hash = [file = entry->file, size = about.size] { return file->Hash(size); };
  absl::StatusOr<PieceHasher::Result> result = co_await parts_.lane.Run(std::move(hash));
  BRAMBLE_CO_RETURN_IF_ERROR(result.status());
  if (entry->gone) {
    co_return Unknown(id);  // another finished it meanwhile
  }
  const std::string digest = result->whole.Hex();
  if (!expected.empty() && digest != expected) {
    Drop(entry);
    co_return WrongDigest(digest, expected);
  }
  BlobStore::WholeFile whole;
  whole.path = entry->file->path;
  whole.digest = digest;
  whole.size = about.size;
  whole.pieces = result->pieces;
  Forget(entry);
  absl::StatusOr<StoredBlob> blob = co_await parts_.blobs.Adopt(std::move(whole));
  RemoveFiles(entry);
  co_return blob;
}

absl::Status UploadStore::Remove(const std::string& owner, const std::string& id) {
  BRAMBLE_ASSIGN_OR_RETURN(const std::shared_ptr<Entry> entry, Find(owner, id));
  Drop(entry);
  return absl::OkStatus();
}

void UploadStore::Drop(const std::shared_ptr<Entry>& entry) {
  Forget(entry);
  RemoveFiles(entry);
}

void UploadStore::Forget(const std::shared_ptr<Entry>& entry) {
  entry->gone = true;
  parts_.blobs.Release(entry->about.size);
  uploads_.erase(entry->about.id);
}

void UploadStore::RemoveFiles(const std::shared_ptr<Entry>& entry) {
  auto remove = [about = AboutFile(paths_, entry->about.id), data = entry->file->path] {
    ::unlink(about.c_str());
    ::unlink(data.c_str());
  };
  // After whatever of it the lane still does.
  if (!parts_.lane.Post(remove)) {
    remove();
  }
}

size_t UploadStore::RemoveExpired() {
  std::vector<std::shared_ptr<Entry>> expired;
  for (const auto& [id, entry] : uploads_) {
    if (entry->about.expires_at < Now()) {
      expired.push_back(entry);
    }
  }
  for (const std::shared_ptr<Entry>& entry : expired) {
    parts_.log.Info("upload_removed", {{"upload", entry->about.id}, {"why", "expired"}});
    Drop(entry);
  }
  return expired.size();
}

}  // namespace bramble::controller
