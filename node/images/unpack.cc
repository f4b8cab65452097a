// SPDX-License-Identifier: Apache-2.0
#include "node/images/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include "base/fd.h"
#include "base/status.h"
#include "base/strings.h"

#include "absl/strings/escaping.h"

namespace bramble::node {
namespace {

constexpr size_t kReadBytes = 128 * 1024;

struct FreeReader {
  void operator()(archive* a) const { archive_read_free(a); }
};
struct FreeWriter {
  void operator()(archive* a) const { archive_write_free(a); }
};
using Reader = std::unique_ptr<archive, FreeReader>;
using Writer = std::unique_ptr<archive, FreeWriter>;

std::string Shown(std::string_view path) {
  return absl::CHexEscape(std::string(path.substr(0, 200)));
}

absl::Status Refuse(std::string_view path, std::string_view why) {
  return absl::InvalidArgumentError(StrCat("image entry \"", Shown(path), "\": ", why));
}

absl::Status TooMuchMemory(std::string_view message) {
  return absl::ResourceExhaustedError(
      StrCat(message,
             "; unpacking it takes more memory than it may: pack it again with a window "
             "of at most 128 MiB (xz -9 or less, zstd without --long=28 and more)"));
}

// libarchive's own failure: what it says, with the errno it saw.
absl::Status ArchiveStatus(archive* a, std::string_view path) {
  const int error = archive_errno(a);
  const char* text = archive_error_string(a);
  const std::string message =
      StrCat("image entry \"", Shown(path), "\": ", text == nullptr ? "unreadable" : text);
  if (error == ENOSPC || error == EDQUOT) {
    return absl::ResourceExhaustedError(message);
  }
  if (error == ENOMEM) {
    return TooMuchMemory(message);
  }
  return absl::InvalidArgumentError(message);
}

// A relative path with neither ".." nor an absolute start; "./" at the start is taken off, and the
// root itself gives "".
absl::StatusOr<std::string> CheckPath(const char* raw, const UnpackLimits& limits) {
  if (raw == nullptr) {
    return absl::InvalidArgumentError("image entry with a name that is not UTF-8");
  }
  std::string_view path = raw;
  if (path.size() > limits.path_bytes) {
    return Refuse(path, StrCat("a path longer than ", limits.path_bytes, " bytes"));
  }
  if (path.starts_with('/')) {
    return Refuse(path, "an absolute path");
  }
  std::string clean;
  int depth = 0;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    if (part.empty() || part == ".") {
      continue;
    }
    if (part == "..") {
      return Refuse(raw, "a path with \"..\"");
    }
    if (++depth > limits.depth) {
      return Refuse(raw, StrCat("deeper than ", limits.depth, " directories"));
    }
    clean = clean.empty() ? std::string(part) : StrCat(clean, "/", part);
  }
  return clean;
}

bool IsKeptAttribute(std::string_view name) {
  return name == "security.capability" || name.starts_with("user.");
}

void DropOtherAttributes(archive_entry* entry) {
  struct Attribute {
    std::string name;
    std::string value;
  };
  std::vector<Attribute> kept;
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  archive_entry_xattr_reset(entry);
  while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
    if (name != nullptr && IsKeptAttribute(name)) {
      kept.push_back({name, std::string(static_cast<const char*>(value), size)});
    }
  }
  archive_entry_xattr_clear(entry);
  for (const Attribute& attribute : kept) {
    archive_entry_xattr_add_entry(entry, attribute.name.c_str(), attribute.value.data(),
                                  attribute.value.size());
  }
}

class Unpacking {
 public:
  Unpacking(Reader reader, Writer writer, const UnpackLimits& limits, int64_t packed)
      : reader_(std::move(reader)), writer_(std::move(writer)), limits_(limits) {
    const int64_t by_ratio = packed > (INT64_MAX - kRatioFreeBytes) / limits.ratio
                                 ? INT64_MAX
                                 : packed * limits.ratio + kRatioFreeBytes;
    max_unpacked_ = std::min(limits.unpacked.count, by_ratio);
  }

  absl::StatusOr<UnpackResult> Run() {
    for (;;) {
      archive_entry* entry = nullptr;
      const int got = archive_read_next_header(reader_.get(), &entry);
      if (got == ARCHIVE_EOF) {
        break;
      }
      if (got != ARCHIVE_OK && got != ARCHIVE_WARN) {
        return ArchiveStatus(reader_.get(), last_path_);
      }
      BRAMBLE_RETURN_IF_ERROR(TakeEntry(entry));
    }
    if (result_.entries == 0) {
      return absl::InvalidArgumentError("the image's archive holds nothing");
    }
    // Directories get their times and modes now.
    if (archive_write_close(writer_.get()) != ARCHIVE_OK) {
      return ArchiveStatus(writer_.get(), last_path_);
    }
    return result_;
  }

 private:
  absl::Status TakeEntry(archive_entry* entry) {
    if (++result_.entries > limits_.entries) {
      return absl::ResourceExhaustedError(
          StrCat("the image has more than ", limits_.entries, " entries"));
    }
    BRAMBLE_ASSIGN_OR_RETURN(const std::string path,
                             CheckPath(archive_entry_pathname(entry), limits_));
    last_path_ = path;
    const mode_t type = archive_entry_filetype(entry);
    if (type == AE_IFCHR || type == AE_IFBLK || type == AE_IFSOCK) {
      ++result_.skipped_devices;
      return absl::OkStatus();
    }
    archive_entry_set_pathname(entry, path.empty() ? "." : path.c_str());
    if (const char* target = archive_entry_hardlink(entry)) {
      BRAMBLE_RETURN_IF_ERROR(TakeHardLink(entry, target));
    } else if (type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK && type != AE_IFIFO) {
      return Refuse(path, "neither file, directory, link nor FIFO");
    }
    DropOtherAttributes(entry);
    if (archive_write_header(writer_.get(), entry) < ARCHIVE_WARN) {
      return ArchiveStatus(writer_.get(), path);
    }
    BRAMBLE_RETURN_IF_ERROR(CopyData());
    if (archive_write_finish_entry(writer_.get()) < ARCHIVE_WARN) {
      return ArchiveStatus(writer_.get(), path);
    }
    return absl::OkStatus();
  }

  absl::Status TakeHardLink(archive_entry* entry, const char* raw) {
    BRAMBLE_ASSIGN_OR_RETURN(const std::string target, CheckPath(raw, limits_));
    struct stat found {};
    if (::lstat(target.c_str(), &found) != 0 || S_ISDIR(found.st_mode)) {
      return Refuse(last_path_, StrCat("a hard link to \"", Shown(target),
                                       "\", which was not unpacked before it"));
    }
    archive_entry_set_hardlink(entry, target.c_str());
    return absl::OkStatus();
  }

  absl::Status CopyData() {
    for (;;) {
      const void* bytes = nullptr;
      size_t size = 0;
      la_int64_t offset = 0;
      const int got = archive_read_data_block(reader_.get(), &bytes, &size, &offset);
      if (got == ARCHIVE_EOF) {
        return absl::OkStatus();
      }
      if (got < ARCHIVE_WARN) {
        return ArchiveStatus(reader_.get(), last_path_);
      }
      result_.unpacked.count += static_cast<int64_t>(size);
      if (result_.unpacked.count > max_unpacked_) {
        return absl::ResourceExhaustedError(
            StrCat("the image unpacks to more than ", ToString(Bytes{max_unpacked_}),
                   ", its limit by size and by ratio to the archive"));
      }
      if (archive_write_data_block(writer_.get(), bytes, size, offset) < ARCHIVE_WARN) {
        return ArchiveStatus(writer_.get(), last_path_);
      }
    }
  }

  Reader reader_;
  Writer writer_;
  const UnpackLimits limits_;
  int64_t max_unpacked_ = 0;
  UnpackResult result_;
  std::string last_path_;
};

std::string ArchitectureOfTree() {
  for (const char* program : {"bin/sh", "usr/bin/sh", "bin/busybox", "sbin/init"}) {
    const Fd file(::open(program, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    std::array<char, 64> header{};
    if (file.valid() &&
        ::read(file.get(), header.data(), header.size()) == static_cast<ssize_t>(header.size())) {
      return ArchitectureOfElf({header.data(), header.size()});
    }
  }
  return "";
}

absl::StatusOr<Reader> OpenReader(int fd) {
  Reader reader(archive_read_new());
  archive_read_support_format_tar(reader.get());
  archive_read_support_filter_gzip(reader.get());
  archive_read_support_filter_xz(reader.get());
  archive_read_support_filter_zstd(reader.get());
  if (archive_read_open_fd(reader.get(), fd, kReadBytes) == ARCHIVE_OK) {
    return reader;
  }
  if (archive_errno(reader.get()) == ENOMEM) {
    return TooMuchMemory("the image");
  }
  return absl::InvalidArgumentError(
      "the image is not a tar archive, plain or packed by gzip, xz or zstd");
}

}  // namespace

absl::StatusOr<Sha256Digest> HashFile(int fd) {
  Sha256Stream hash;
  std::vector<char> buffer(kReadBytes);
  off_t offset = 0;
  for (;;) {
    const ssize_t got = ::pread(fd, buffer.data(), buffer.size(), offset);
    if (got < 0) {
      return ErrnoStatus(errno, "read the image's archive");
    }
    if (got == 0) {
      break;
    }
    hash.Update({buffer.data(), static_cast<size_t>(got)});
    offset += got;
  }
  if (::lseek(fd, 0, SEEK_SET) != 0) {
    return ErrnoStatus(errno, "rewind the image's archive");
  }
  return hash.Finish();
}

absl::StatusOr<UnpackResult> Unpack(int fd, const UnpackLimits& limits) {
  struct stat file {};
  if (::fstat(fd, &file) != 0) {
    return ErrnoStatus(errno, "look at the image's archive");
  }
  BRAMBLE_ASSIGN_OR_RETURN(Reader reader, OpenReader(fd));
  Writer writer(archive_write_disk_new());
  archive_write_disk_set_options(
      writer.get(), ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME |
                        ARCHIVE_EXTRACT_XATTR | ARCHIVE_EXTRACT_SECURE_SYMLINKS |
                        ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS);
  Unpacking unpacking(std::move(reader), std::move(writer), limits, file.st_size);
  BRAMBLE_ASSIGN_OR_RETURN(UnpackResult result, unpacking.Run());
  result.architecture = ArchitectureOfTree();
  return result;
}

std::string ArchitectureOfElf(std::string_view bytes) {
  // ELF header: e_ident[4] is the class, e_ident[5] the byte order, e_machine two bytes at 18
  // (System V ABI, chapter 4; machine numbers in elf.h).
  if (bytes.size() < 20 || !bytes.starts_with("\x7f"
                                              "ELF")) {
    return "";
  }
  constexpr char kLittleEndian = 1;
  if (bytes[5] != kLittleEndian) {
    return "";
  }
  const int machine = static_cast<unsigned char>(bytes[18]) | static_cast<unsigned char>(bytes[19])
                                                                  << 8;
  switch (machine) {
    case 62:
      return "amd64";
    case 183:
      return "arm64";
    case 40:
      return "armhf";
    case 3:
      return "i386";
    case 243:
      return "riscv64";
    default:
      return "";
  }
}

}  // namespace bramble::node
