// SPDX-License-Identifier: Apache-2.0
#include "controller/backup.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "base/undo.h"
#include "controller/store/sqlite_store.h"

namespace bramble::controller {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBlock = 512;
constexpr size_t kPiece = 1 << 20;
constexpr uint64_t kMaxMember = 8ull << 30;  // what 11 octal digits can say

// The header of one member (POSIX.1-2017, pax, "ustar Interchange Format").
struct Header {
  char name[100];
  char mode[8];
  char uid[8];
  char gid[8];
  char size[12];
  char mtime[12];
  char checksum[8];
  char type;
  char link[100];
  char magic[6];
  char version[2];
  char rest[247];
};
static_assert(sizeof(Header) == kBlock, "a tar header is one block");

uint32_t ChecksumOf(Header header) {
  std::memset(header.checksum, ' ', sizeof(header.checksum));
  std::array<unsigned char, sizeof(Header)> bytes;
  std::memcpy(bytes.data(), &header, sizeof(header));
  uint32_t sum = 0;
  for (const unsigned char byte : bytes) {
    sum += byte;
  }
  return sum;
}

Header HeaderOf(const std::string& name, uint64_t size) {
  Header header{};
  std::snprintf(header.name, sizeof(header.name), "%s", name.c_str());
  std::memcpy(header.mode, "0000600", 8);
  std::memcpy(header.uid, "0000000", 8);
  std::memcpy(header.gid, "0000000", 8);
  std::snprintf(header.size, sizeof(header.size), "%011llo",
                static_cast<unsigned long long>(size & 077777777777ULL));
  std::memcpy(header.mtime, "00000000000", 12);
  header.type = '0';
  std::memcpy(header.magic, "ustar", 6);
  std::memcpy(header.version, "00", 2);
  std::snprintf(header.checksum, sizeof(header.checksum), "%06o", ChecksumOf(header));
  header.checksum[7] = ' ';
  return header;
}

absl::StatusOr<uint64_t> OctalOf(const char* digits, size_t size) {
  uint64_t number = 0;
  bool any = false;
  for (size_t i = 0; i < size && digits[i] != '\0' && digits[i] != ' '; ++i) {
    if (digits[i] < '0' || digits[i] > '7') {
      return absl::InvalidArgumentError("not a tar archive");
    }
    number = number * 8 + static_cast<uint64_t>(digits[i] - '0');
    any = true;
  }
  if (!any || number > kMaxMember) {
    return absl::InvalidArgumentError("not a tar archive, or too large");
  }
  return number;
}

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

// `size` bytes of `from` to `to`; kInvalidArgument when `from` ends first.
absl::Status Copy(int from, int to, uint64_t size, const fs::path& path) {
  std::string buffer(kPiece, '\0');
  while (size > 0) {
    const size_t want = std::min<uint64_t>(size, buffer.size());
    BRAMBLE_ASSIGN_OR_RETURN(const size_t got, ReadSome(from, buffer.data(), want, path));
    if (got < want) {
      return absl::InvalidArgumentError(StrCat(path.string(), ": ends too early"));
    }
    BRAMBLE_RETURN_IF_ERROR(WriteAll(to, std::string_view(buffer.data(), got), path.string()));
    size -= got;
  }
  return absl::OkStatus();
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
  std::error_code error;
  const uint64_t size = fs::file_size(from, error);
  if (error || size > kMaxMember) {
    return absl::InternalError(StrCat(from.string(), ": cannot be put into a backup"));
  }
  const Header header = HeaderOf(name, size);
  const std::string_view block(reinterpret_cast<const char*>(&header), sizeof(header));
  BRAMBLE_RETURN_IF_ERROR(WriteAll(tar, block, name));
  BRAMBLE_RETURN_IF_ERROR(Copy(fd.get(), tar, size, from));
  return WriteAll(tar, std::string((kBlock - size % kBlock) % kBlock, '\0'), name);
}

// Unpacks every member to "PATH.restoring", and says which came.
absl::StatusOr<std::set<std::string>> UnpackAll(const fs::path& from,
                                                const std::vector<Member>& members, Undo& undo) {
  BRAMBLE_ASSIGN_OR_RETURN(const Fd tar, OpenFile(from, O_RDONLY));
  std::set<std::string> found;
  while (true) {
    Header header{};
    BRAMBLE_ASSIGN_OR_RETURN(const size_t got, ReadSome(tar.get(), reinterpret_cast<char*>(&header),
                                                        sizeof(header), from));
    if (got < sizeof(header)) {
      return absl::InvalidArgumentError(StrCat(from.string(), ": ends too early"));
    }
    if (header.name[0] == '\0') {
      return found;
    }
    BRAMBLE_ASSIGN_OR_RETURN(const uint64_t checksum,
                             OctalOf(header.checksum, sizeof(header.checksum)));
    BRAMBLE_ASSIGN_OR_RETURN(const uint64_t size, OctalOf(header.size, sizeof(header.size)));
    const std::string name(header.name, ::strnlen(header.name, sizeof(header.name)));
    const Member* member = nullptr;
    for (const Member& each : members) {
      member = each.name == name ? &each : member;
    }
    if (checksum != ChecksumOf(header) || member == nullptr || !found.insert(name).second) {
      return absl::InvalidArgumentError(
          StrCat(from.string(), ": not a backup of a Bramble controller"));
    }
    const fs::path to = member->path.string() + ".restoring";
    BRAMBLE_ASSIGN_OR_RETURN(const Fd fd, OpenFile(to, O_WRONLY | O_CREAT | O_TRUNC, 0600));
    undo.Add([to] { ::unlink(to.c_str()); });
    BRAMBLE_RETURN_IF_ERROR(Copy(tar.get(), fd.get(), size, from));
    if (::fsync(fd.get()) != 0) {
      return ErrnoStatus(errno, to.string());
    }
    ::lseek(tar.get(), static_cast<off_t>((kBlock - size % kBlock) % kBlock), SEEK_CUR);
  }
}

}  // namespace

absl::Status WriteBackup(const StatePaths& paths, const fs::path& database, const fs::path& to) {
  BRAMBLE_ASSIGN_OR_RETURN(const Fd tar, OpenFile(to, O_WRONLY | O_CREAT | O_EXCL, 0600));
  for (const Member& member : MembersOf(paths)) {
    const bool is_database = member.path == paths.Database();
    BRAMBLE_RETURN_IF_ERROR(
        AddMember(tar.get(), member.name, is_database ? database : member.path));
  }
  return WriteAll(tar.get(), std::string(2 * kBlock, '\0'), to.string());
}

absl::Status RestoreBackup(const fs::path& from, const StatePaths& paths) {
  if (fs::exists(paths.Database())) {
    return absl::FailedPreconditionError(
        StrCat(paths.Database().string(),
               ": there is a database already; restore into an empty state directory, or move this "
               "one away first"));
  }
  BRAMBLE_RETURN_IF_ERROR(MakeDirectories(paths.state, 0700));
  const std::vector<Member> members = MembersOf(paths);
  Undo undo;
  const absl::StatusOr<std::set<std::string>> unpacked = UnpackAll(from, members, undo);
  if (!unpacked.ok()) {
    return Annotate(unpacked.status(), StrCat("backup ", from.string()));
  }
  for (const Member& member : members) {
    if (!unpacked->contains(member.name)) {
      return absl::InvalidArgumentError(
          StrCat(from.string(), ": not a whole backup: ", member.name, " is missing"));
    }
  }
  BRAMBLE_RETURN_IF_ERROR(MarkRestored(paths.Database().string() + ".restoring"));
  // The database last: without it the directory counts as empty.
  for (const Member& member : members) {
    const std::string to = member.path.string();
    if (::rename((to + ".restoring").c_str(), to.c_str()) != 0) {
      return ErrnoStatus(errno, to);
    }
  }
  undo.Cancel();
  BRAMBLE_ASSIGN_OR_RETURN(const Fd directory, OpenFile(paths.state, O_RDONLY | O_DIRECTORY));
  return ::fsync(directory.get()) == 0 ? absl::OkStatus()
                                       : ErrnoStatus(errno, paths.state.string());
}

}  // namespace bramble::controller
