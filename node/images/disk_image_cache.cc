// SPDX-License-Identifier: Apache-2.0
#include "node/images/disk_image_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <system_error>

#include "base/beneath.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/status.h"
#include "base/strings.h"
#include "base/subprocess.h"
#include "node/images/eviction.h"

namespace bramble::node {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxDescriptionBytes = 64 * 1024;
constexpr char kArchive[] = "archive";
constexpr char kPart[] = "part";
constexpr char kTree[] = "tree";
constexpr char kDescription[] = "image.json";
constexpr std::chrono::hours kUseStep{1};

absl::Status CheckDigest(const std::string& digest) {
  return Annotate(Sha256Digest::FromHex(digest).status(), "image digest");
}

json::object ToJson(const CachedImage& image) {
  return {{"digest", image.digest},
          {"first_id", image.ids.first},
          {"unpacked_bytes", image.unpacked.count},
          {"entries", image.entries},
          {"architecture", image.architecture},
          {"skipped_devices", image.skipped_devices}};
}

absl::StatusOr<CachedImage> FromJson(const json::value& value) {
  JsonObjectReader reader(value, "image");
  CachedImage image;
  image.digest = reader.String("digest");
  image.ids.first = static_cast<uint32_t>(reader.Int("first_id", {.min = 1, .max = UINT32_MAX}));
  image.unpacked.count = reader.Int("unpacked_bytes", {.min = 0});
  image.entries = reader.Int("entries", {.min = 0});
  image.architecture = reader.String("architecture");
  image.skipped_devices = reader.Int("skipped_devices", {.min = 0});
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return image;
}

absl::Status RemoveBelow(const fs::path& directory, const char* name) {
  BRAMBLE_ASSIGN_OR_RETURN(const Fd opened, OpenDirectory(directory));
  absl::Status removed = RemoveTreeBeneath(opened.get(), name);
  return absl::IsNotFound(removed) ? absl::OkStatus() : Annotate(removed, directory.string());
}

// bramble-unpack's answer: {"code", "message"} when it failed.
absl::StatusOr<CachedImage> ReadAnswer(const CommandResult& result) {
  absl::StatusOr<json::value> value = ParseJson(result.out);
  if (!value.ok()) {
    return absl::InternalError(
        StrCat("bramble-unpack ", result.exit.ToString(), ": ", result.err.substr(0, 500)));
  }
  JsonObjectReader reader(*value, "bramble-unpack");
  if (const std::optional<int64_t> code = reader.OptionalInt("code", {.min = 1, .max = 16})) {
    const std::string message = reader.String("message", {.allow_control = true});
    return absl::Status(static_cast<absl::StatusCode>(*code), message);
  }
  CachedImage image;
  image.unpacked.count = reader.Int("unpacked_bytes", {.min = 0});
  image.entries = reader.Int("entries", {.min = 0});
  image.architecture = reader.String("architecture");
  image.skipped_devices = reader.Int("skipped_devices", {.min = 0});
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return image;
}

}  // namespace

DiskImageCache::DiskImageCache(Options options, Logger log)
    : options_(std::move(options)), log_(log) {}

absl::Status DiskImageCache::Open() {
  std::error_code error;
  fs::create_directories(options_.root, error);
  if (error) {
    return ErrnoStatus(error.value(), options_.root.string());
  }
  if (::chmod(options_.root.c_str(), 0700) != 0) {
    return ErrnoStatus(errno, options_.root.string());
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(options_.root, error)) {
    const std::string digest = entry.path().filename().string();
    if (!CheckDigest(digest).ok()) {
      log_.Warn("image_cache_foreign_file", {{"path", entry.path().string()}});
      continue;
    }
    BRAMBLE_RETURN_IF_ERROR(RemoveBelow(entry.path(), kPart));
    absl::StatusOr<CachedImage> image = Load(digest);
    if (image.ok()) {
      images_[digest] = *std::move(image);
    } else if (!absl::IsNotFound(image.status())) {
      // A description that does not read back: the image is fetched anew.
      log_.Warn("image_damaged", {{"image", digest}, {"why", image.status()}});
      BRAMBLE_RETURN_IF_ERROR(RemoveBelow(entry.path(), kTree));
    }
  }
  return error ? ErrnoStatus(error.value(), options_.root.string()) : absl::OkStatus();
}

absl::StatusOr<CachedImage> DiskImageCache::Load(const std::string& digest) const {
  const fs::path directory = options_.root / digest;
  struct stat tree {};
  if (::lstat((directory / kTree).c_str(), &tree) != 0 || !S_ISDIR(tree.st_mode)) {
    return absl::NotFoundError(StrCat("image ", digest, " is not unpacked"));
  }
  BRAMBLE_ASSIGN_OR_RETURN(const std::string text,
                           ReadFile(directory / kDescription, kMaxDescriptionBytes));
  BRAMBLE_ASSIGN_OR_RETURN(const json::value value, ParseJson(text));
  BRAMBLE_ASSIGN_OR_RETURN(CachedImage image, FromJson(value));
  if (image.digest != digest || image.ids.first != tree.st_uid) {
    return absl::DataLossError(StrCat("image ", digest, ": its description is another image's"));
  }
  image.tree = directory / kTree;
  struct stat file {};
  if (::lstat((directory / kArchive).c_str(), &file) == 0 && S_ISREG(file.st_mode)) {
    image.archive.count = file.st_size;
  }
  if (::lstat((directory / kDescription).c_str(), &file) == 0) {
    image.last_used = WallTime(std::chrono::seconds(file.st_mtim.tv_sec));
  }
  return image;
}

fs::path DiskImageCache::ArchivePath(const std::string& digest) {
  const fs::path directory = options_.root / digest;
  std::error_code error;
  // A failure shows when the archive is opened there.
  fs::create_directory(directory, error);
  return directory / kArchive;
}

asio::awaitable<absl::StatusOr<CachedImage>> DiskImageCache::Add(std::string digest) {
  BRAMBLE_CO_RETURN_IF_ERROR(CheckDigest(digest));
  if (absl::StatusOr<CachedImage> known = Find(digest); known.ok()) {
    co_return known;
  }
  auto unpack = [this, digest] { return Unpack(digest); };
  absl::StatusOr<CachedImage> image = co_await lane_.Run(std::move(unpack));
  if (image.ok()) {
    images_[digest] = *image;
    log_.Info("image_unpacked", {{"image", digest},
                                 {"entries", image->entries},
                                 {"unpacked_bytes", image->unpacked.count}});
  }
  co_return image;
}

absl::StatusOr<CachedImage> DiskImageCache::Unpack(const std::string& digest) const {
  const fs::path directory = options_.root / digest;
  BRAMBLE_RETURN_IF_ERROR(RemoveBelow(directory, kPart));
  Command command;
  command.argv = {options_.unpack_program.string(),
                  "--digest",
                  digest,
                  "--archive",
                  (directory / kArchive).string(),
                  "--into",
                  (directory / kPart).string(),
                  "--first-id",
                  std::to_string(options_.ids.first),
                  "--max-bytes",
                  std::to_string(options_.max_unpacked.count)};
  command.deadline = options_.deadline;
  BRAMBLE_ASSIGN_OR_RETURN(const CommandResult result, RunCommand(command));
  absl::StatusOr<CachedImage> image = ReadAnswer(result);
  if (image.ok()) {
    image->digest = digest;
    image->tree = directory / kTree;
    image->ids = options_.ids;
    image->last_used = SystemClock().Wall();
    if (absl::Status published = Publish(*image); !published.ok()) {
      image = published;
    }
  }
  const bool archive_is_useless = (image.ok() && !HasRoomForArchives()) ||
                                  absl::IsDataLoss(image.status()) ||
                                  absl::IsInvalidArgument(image.status());
  std::error_code ignored;
  if (archive_is_useless) {
    fs::remove(directory / kArchive, ignored);  // a stale one is overwritten by the next
  } else if (image.ok()) {
    const auto size = fs::file_size(directory / kArchive, ignored);
    image->archive.count = ignored ? 0 : static_cast<int64_t>(size);
  }
  if (!image.ok()) {
    BRAMBLE_RETURN_IF_ERROR(RemoveBelow(directory, kPart));
    return Annotate(image.status(), StrCat("image ", digest));
  }
  return image;
}

absl::Status DiskImageCache::Publish(const CachedImage& image) const {
  const fs::path directory = options_.root / image.digest;
  BRAMBLE_RETURN_IF_ERROR(RemoveBelow(directory, kTree));
  BRAMBLE_RETURN_IF_ERROR(
      WriteFileAtomically(directory / kDescription, json::serialize(ToJson(image)), 0600));
  BRAMBLE_ASSIGN_OR_RETURN(const Fd opened,
                           OpenFile(directory, O_RDONLY | O_DIRECTORY));  // O_PATH cannot fsync
  if (::renameat(opened.get(), kPart, opened.get(), kTree) != 0 || ::fsync(opened.get()) != 0) {
    return ErrnoStatus(errno, directory.string());
  }
  return absl::OkStatus();
}

absl::StatusOr<CachedImage> DiskImageCache::Find(const std::string& digest) const {
  const auto found = images_.find(digest);
  if (found == images_.end()) {
    return absl::NotFoundError(StrCat("image ", digest, " is not in the cache"));
  }
  return found->second;
}

std::vector<CachedImage> DiskImageCache::List() const {
  std::vector<CachedImage> all;
  for (const auto& [digest, image] : images_) {
    all.push_back(image);
  }
  return all;
}

bool DiskImageCache::HasRoomForArchives() const {
  std::error_code error;
  const fs::space_info space = fs::space(options_.root, error);
  return !error && space.available >=
                       space.capacity / 100 * static_cast<uintmax_t>(options_.keep_archive_percent);
}

std::optional<fs::path> DiskImageCache::KeptArchive(const std::string& digest) const {
  const auto found = images_.find(digest);
  if (found == images_.end() || found->second.archive.count == 0) {
    return std::nullopt;
  }
  return options_.root / digest / kArchive;
}

void DiskImageCache::NoteUse(const std::string& digest) {
  const auto found = images_.find(digest);
  const WallTime now = SystemClock().Wall();
  if (found == images_.end() ||
      (found->second.last_used <= now && now - found->second.last_used < kUseStep)) {
    return;
  }
  found->second.last_used = now;
  // Lost with the power, at worst.
  ::utimensat(AT_FDCWD, (options_.root / digest / kDescription).c_str(), nullptr,
              AT_SYMLINK_NOFOLLOW);
}

asio::awaitable<absl::Status> DiskImageCache::Collect(std::set<std::string> in_use, Bytes needed) {
  std::vector<EvictionCandidate> candidates;
  std::set<std::string> known = in_use;
  for (const auto& [digest, image] : images_) {
    known.insert(digest);
    candidates.push_back({.digest = digest,
                          .tree = image.unpacked,
                          .archive = image.archive,
                          .last_used = image.last_used,
                          .in_use = in_use.contains(digest)});
  }
  const std::vector<Eviction> evictions = ChooseEvictions(std::move(candidates), needed);
  for (const Eviction& eviction : evictions) {
    log_.Info("image_evicted",
              {{"image", eviction.digest}, {"archive_only", eviction.archive_only}});
    if (eviction.archive_only) {
      images_[eviction.digest].archive = {};
    } else {
      images_.erase(eviction.digest);
    }
  }
  auto collect = [root = options_.root, known = std::move(known), evictions]() -> absl::Status {
    std::error_code error;
    for (const Eviction& eviction : evictions) {
      if (eviction.archive_only) {
        fs::remove(root / eviction.digest / kArchive, error);
      } else {
        BRAMBLE_RETURN_IF_ERROR(RemoveBelow(root, eviction.digest.c_str()));
      }
    }
    for (const fs::directory_entry& entry : fs::directory_iterator(root, error)) {
      const std::string digest = entry.path().filename().string();
      if (!known.contains(digest) && CheckDigest(digest).ok()) {
        BRAMBLE_RETURN_IF_ERROR(RemoveBelow(root, digest.c_str()));
      }
    }
    return error ? ErrnoStatus(error.value(), root.string()) : absl::OkStatus();
  };
  co_return co_await lane_.Run(std::move(collect));
}

}  // namespace bramble::node
