// SPDX-License-Identifier: Apache-2.0
#include "controller/backup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/tar.h"
#include "base/undo.h"
#include "controller/store/sqlite_store.h"

namespace bramble::controller {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPiece = 1 << 20;
constexpr char kSuffix[] = ".restoring";

absl::StatusOr<size_t> ReadSome(int fd, char* out, size_t size, const fs::path& path) {
  size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(fd, out + done, size - done);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return ErrnoStatus(errno, path.string());
    }
    if (got == 0) {
      break;
    }
    done += static_cast<size_t>(got);
  }
  return done;
}

struct Member {
  std::string name;
  fs::path path;  // where it lives in a state directory
};

std::vector<Member> MembersOf(const StatePaths& paths) {
  return {{"ca.key", paths.CaKey()},
          {"ca.crt", paths.CaCertificate()},
          {"server.key", paths.ServerKey()},
          {"server.crt", paths.ServerCertificate()},
          {"controller.db", paths.Database()}};
}

absl::Status AddMember(int tar, const std::string& name, const fs::path& from) {
  BRAMBLE_ASSIGN_OR_RETURN(const Fd fd, OpenFile(from, O_RDONLY));
  struct stat about {};
  if (::fstat(fd.get(), &about) != 0) {
    return ErrnoStatus(errno, from.string());
  }
  const auto size = static_cast<uint64_t>(about.st_size);
  const TarEntry entry{.name = name, .size = size, .mode = 0600};
  BRAMBLE_RETURN_IF_ERROR(WriteAll(tar, TarHeader(entry), name));
  std::string buffer(kPiece, '\0');
  for (uint64_t left = size; left > 0;) {
    const auto want = static_cast<size_t>(std::min<uint64_t>(left, buffer.size()));
    BRAMBLE_ASSIGN_OR_RETURN(const size_t got, ReadSome(fd.get(), buffer.data(), want, from));
    if (got == 0) {
      return absl::InternalError(StrCat(from.string(), ": became shorter while it was copied"));
    }
    BRAMBLE_RETURN_IF_ERROR(WriteAll(tar, std::string_view(buffer.data(), got), name));
    left -= got;
  }
  return WriteAll(tar, TarPadding(size), name);
}

// One backup on its way into a state directory: every file is written as "PATH.restoring" first.
class Restoring {
 public:
  Restoring(const fs::path& from, const StatePaths& paths)
      : from_(from), blobs_{.root = paths.Blobs()}, members_(MembersOf(paths)) {}

  absl::Status UnpackAll(Undo& undo) {
    BRAMBLE_ASSIGN_OR_RETURN(const Fd tar, OpenFile(from_, O_RDONLY));
    TarReader archive(
        [this, fd = tar.get()](char* out, size_t size) { return ReadSome(fd, out, size, from_); });
    while (true) {
      BRAMBLE_ASSIGN_OR_RETURN(const std::optional<TarEntry> entry, archive.Next());
      if (!entry.has_value()) {
        break;
      }
      BRAMBLE_ASSIGN_OR_RETURN(const fs::path path, PathOf(*entry));
      if (!found_.insert(entry->name).second) {
        return NoBackup();
      }
      BRAMBLE_RETURN_IF_ERROR(Unpack(archive, *entry, path, undo));
      if (entry->name.starts_with(kBackupBlobs)) {
        in_place_.insert(in_place_.begin(), path);  // the database stays last
      }
    }
    for (const Member& member : members_) {
      if (!found_.contains(member.name)) {
        return absl::InvalidArgumentError(
            StrCat("not a whole backup: ", member.name, " is missing"));
      }
      in_place_.push_back(member.path);
    }
    return absl::OkStatus();
  }

  // The database last: without it the directory counts as empty.
  absl::Status PutInPlace() {
    for (const fs::path& path : in_place_) {
      if (::rename((path.string() + kSuffix).c_str(), path.c_str()) != 0) {
        return ErrnoStatus(errno, path.string());
      }
      BRAMBLE_ASSIGN_OR_RETURN(const Fd directory,
                               OpenFile(path.parent_path(), O_RDONLY | O_DIRECTORY));
      if (::fsync(directory.get()) != 0) {
        return ErrnoStatus(errno, path.parent_path().string());
      }
    }
    return absl::OkStatus();
  }

 private:
  static absl::Status NoBackup() {
    return absl::InvalidArgumentError("not a backup of a Bramble controller");
  }

  absl::StatusOr<fs::path> PathOf(const TarEntry& entry) const {
    const std::string_view name = entry.name;
    for (const Member& member : members_) {
      if (member.name == name && entry.type == TarType::kFile) {
        return member.path;
      }
    }
    constexpr size_t kDigestDigits = 64;
    const std::string_view prefix = kBackupBlobs;
    const std::string_view digest = name.substr(std::min(prefix.size(), name.size()));
    const bool blob = entry.type == TarType::kFile && name.starts_with(prefix) &&
                      digest.size() == kDigestDigits &&
                      digest.find_first_not_of("0123456789abcdef") == std::string_view::npos;
    return blob ? absl::StatusOr<fs::path>(blobs_.FileOf(digest)) : NoBackup();
  }

  absl::Status Unpack(TarReader& archive, const TarEntry& entry, const fs::path& path, Undo& undo) {
    BRAMBLE_RETURN_IF_ERROR(MakeDirectories(path.parent_path(), 0700));
    const std::string to = path.string() + kSuffix;
    BRAMBLE_ASSIGN_OR_RETURN(const Fd fd, OpenFile(to, O_WRONLY | O_CREAT | O_TRUNC, 0600));
    undo.Add([to] { ::unlink(to.c_str()); });
    Sha256Stream hash;
    std::string buffer(kPiece, '\0');
    while (true) {
      BRAMBLE_ASSIGN_OR_RETURN(const size_t got, archive.Read(buffer.data(), buffer.size()));
      if (got == 0) {
        break;
      }
      const std::string_view piece(buffer.data(), got);
      hash.Update(piece);
      BRAMBLE_RETURN_IF_ERROR(WriteAll(fd.get(), piece, to));
    }
    if (entry.name.starts_with(kBackupBlobs) && hash.Finish().Hex() != path.filename().string()) {
      return absl::InvalidArgumentError(
          StrCat(entry.name, ": damaged: its bytes have another SHA-256 than its name says"));
    }
    return ::fsync(fd.get()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, to);
  }

  const fs::path from_;
  const BlobPaths blobs_;
  const std::vector<Member> members_;
  std::set<std::string> found_;
  std::vector<fs::path> in_place_;
};

}  // namespace

absl::Status WriteBackup(const StatePaths& paths, const fs::path& database, const fs::path& to) {
  BRAMBLE_ASSIGN_OR_RETURN(const Fd tar, OpenFile(to, O_WRONLY | O_CREAT | O_EXCL, 0600));
  for (const Member& member : MembersOf(paths)) {
    const bool is_database = member.path == paths.Database();
    BRAMBLE_RETURN_IF_ERROR(
        AddMember(tar.get(), member.name, is_database ? database : member.path));
  }
  return WriteAll(tar.get(), TarEnd(), to.string());
}

absl::Status RestoreBackup(const fs::path& from, const StatePaths& paths) {
  if (fs::exists(paths.Database())) {
    return absl::FailedPreconditionError(
        StrCat(paths.Database().string(),
               ": there is a database already; restore into an empty state directory, or move this "
               "one away first"));
  }
  BRAMBLE_RETURN_IF_ERROR(MakeDirectories(paths.state, 0700));
  Undo undo;
  Restoring restoring(from, paths);
  if (const absl::Status unpacked = restoring.UnpackAll(undo); !unpacked.ok()) {
    return Annotate(unpacked, StrCat("backup ", from.string()));
  }
  BRAMBLE_RETURN_IF_ERROR(MarkRestored(paths.Database().string() + kSuffix));
  BRAMBLE_RETURN_IF_ERROR(restoring.PutInPlace());
  undo.Cancel();
  return absl::OkStatus();
}

}  // namespace bramble::controller
