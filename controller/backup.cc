// SPDX-License-Identifier: Apache-2.0
#include "controller/backup.h"

#include <fcntl.h>
#include <sys/file.h>
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

// Made by root in a directory of another user, as `bramble-controller --restore` is run by hand for
// a packaged service: what it makes belongs to whom the directory belongs to.
class Owner {
 public:
  static absl::StatusOr<Owner> Of(const fs::path& directory) {
    struct stat about {};
    if (::stat(directory.c_str(), &about) != 0) {
      return ErrnoStatus(errno, directory.string());
    }
    return Owner(about.st_uid, about.st_gid);
  }
  // Without following a link.
  absl::Status Give(const fs::path& path) const {
    if (::geteuid() != 0 || uid_ == 0) {
      return absl::OkStatus();
    }
    BRAMBLE_ASSIGN_OR_RETURN(const Fd fd, OpenFile(path, O_RDONLY | O_NOFOLLOW));
    return ::fchown(fd.get(), uid_, gid_) == 0 ? absl::OkStatus()
                                               : ErrnoStatus(errno, path.string());
  }

 private:
  Owner(uid_t uid, gid_t gid) : uid_(uid), gid_(gid) {}
  uid_t uid_;
  gid_t gid_;
};

// What SQLite and the store leave beside a database: a -wal of another one would be played into the
// restored one.
std::vector<fs::path> LeftoversOf(const fs::path& database) {
  std::vector<fs::path> all;
  for (const char* suffix : {"-wal", "-shm", "-journal", ".open"}) {
    all.emplace_back(database.string() + suffix);
  }
  return all;
}

// One backup on its way into a state directory: every file is written as "PATH.restoring" first.
class Restoring {
 public:
  Restoring(const fs::path& from, const StatePaths& paths, const Owner& owner)
      : from_(from), owner_(owner), blobs_{.root = paths.Blobs()}, members_(MembersOf(paths)) {}

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
      BRAMBLE_RETURN_IF_ERROR(owner_.Give(path.string() + kSuffix));
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
    if (entry.name.starts_with(kBackupBlobs)) {
      for (const fs::path& made : {path.parent_path(), blobs_.Sha256(), blobs_.root}) {
        BRAMBLE_RETURN_IF_ERROR(owner_.Give(made));
      }
    }
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
  const Owner owner_;
  const BlobPaths blobs_;
  const std::vector<Member> members_;
  std::set<std::string> found_;
  std::vector<fs::path> in_place_;
};

}  // namespace

absl::StatusOr<Fd> LockStateDirectory(const StatePaths& paths) {
  BRAMBLE_ASSIGN_OR_RETURN(Fd lock, OpenFile(paths.Lock(), O_RDWR | O_CREAT, 0600));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        StrCat(paths.state.string(),
               ": another bramble-controller uses this state directory; stop it first"));
  }
  return lock;
}

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
  BRAMBLE_RETURN_IF_ERROR(MakeDirectories(paths.state, 0700));
  BRAMBLE_ASSIGN_OR_RETURN(const Owner owner, Owner::Of(paths.state));
  BRAMBLE_ASSIGN_OR_RETURN(const Fd lock, LockStateDirectory(paths));
  BRAMBLE_RETURN_IF_ERROR(owner.Give(paths.Lock()));
  if (fs::exists(paths.Database())) {
    return absl::FailedPreconditionError(
        StrCat(paths.Database().string(),
               ": there is a database already; restore into an empty state directory, or move this "
               "one away first"));
  }
  for (const fs::path& leftover : LeftoversOf(paths.Database())) {
    if (fs::exists(leftover)) {
      return absl::FailedPreconditionError(
          StrCat(leftover.string(),
                 ": of a database that is no longer there; restore into an empty state directory, "
                 "or move this one away first"));
    }
  }
  Undo undo;
  Restoring restoring(from, paths, owner);
  if (const absl::Status unpacked = restoring.UnpackAll(undo); !unpacked.ok()) {
    return Annotate(unpacked, StrCat("backup ", from.string()));
  }
  const std::string database = paths.Database().string() + kSuffix;
  undo.Add([database] {
    for (const fs::path& leftover : LeftoversOf(database)) {
      ::unlink(leftover.c_str());
    }
  });
  BRAMBLE_RETURN_IF_ERROR(MarkRestored(database));
  BRAMBLE_RETURN_IF_ERROR(restoring.PutInPlace());
  undo.Cancel();
  return absl::OkStatus();
}

}  // namespace bramble::controller
