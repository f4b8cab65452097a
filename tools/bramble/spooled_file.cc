// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/spooled_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ostream>

#include "base/file.h"
#include "base/status.h"

namespace bramble::cli {
namespace {

constexpr size_t kChunkBytes = 256 * 1024;

absl::StatusOr<OpenedFile> Spool(std::istream& in) {
  OpenedFile file;
  BRAMBLE_ASSIGN_OR_RETURN(file.fd, MakeUnnamedFile());
  const int made = file.fd.get();
  std::string chunk(kChunkBytes, '\0');
  while (in.read(chunk.data(), static_cast<std::streamsize>(chunk.size())) || in.gcount() > 0) {
    const auto got = static_cast<size_t>(in.gcount());
    BRAMBLE_RETURN_IF_ERROR(
        WriteAll(made, std::string_view(chunk).substr(0, got), "a temporary file in /var/tmp"));
    file.bytes += got;
  }
  if (::lseek(made, 0, SEEK_SET) != 0) {
    return ErrnoStatus(errno, "a temporary file in /var/tmp");
  }
  return file;
}

}  // namespace

absl::StatusOr<Fd> MakeUnnamedFile() {
  std::string path = "/var/tmp/bramble-XXXXXX";
  Fd made(::mkostemp(path.data(), O_CLOEXEC));
  if (!made.valid()) {
    return ErrnoStatus(errno, "/var/tmp: making a temporary file");
  }
  ::unlink(path.c_str());
  return made;
}

absl::StatusOr<OpenedFile> OpenForUpload(const std::string& path, std::istream& in) {
  if (path == "-") {
    return Spool(in);
  }
  OpenedFile file;
  BRAMBLE_ASSIGN_OR_RETURN(file.fd, OpenFile(path, O_RDONLY));
  struct stat about = {};
  if (::fstat(file.fd.get(), &about) != 0) {
    return ErrnoStatus(errno, path);
  }
  if (!S_ISREG(about.st_mode)) {
    return absl::InvalidArgumentError(StrCat(
        path, S_ISDIR(about.st_mode) ? ": is a directory; -r copies it with all that is in it"
                                     : ": is no regular file; give a file, or - for stdin"));
  }
  file.bytes = static_cast<uint64_t>(about.st_size);
  file.mode = about.st_mode & 0777;
  return file;
}

DownloadedFile::~DownloadedFile() {
  if (!temporary_.empty()) {
    ::unlink(temporary_.c_str());
  }
}

absl::Status DownloadedFile::Open(mode_t mode) {
  if (path_ == "-") {
    return absl::OkStatus();
  }
  std::string temporary = StrCat(path_, ".XXXXXX");
  const int made = ::mkostemp(temporary.data(), O_CLOEXEC);
  if (made < 0) {
    return ErrnoStatus(errno, path_);
  }
  temporary_ = std::move(temporary);
  fd_.Reset(made);
  return ::fchmod(made, mode) == 0 ? absl::OkStatus() : ErrnoStatus(errno, path_);
}

absl::Status DownloadedFile::Write(std::string_view bytes) {
  bytes_ += bytes.size();
  if (fd_.valid()) {
    return WriteAll(fd_.get(), bytes, path_);
  }
  out_ << bytes;
  return out_.good() ? absl::OkStatus() : absl::CancelledError("stdout was closed");
}

absl::Status DownloadedFile::Finish() {
  if (!fd_.valid()) {
    out_ << std::flush;
    return absl::OkStatus();
  }
  if (::fdatasync(fd_.get()) != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return ErrnoStatus(errno, path_);
  }
  temporary_.clear();
  return absl::OkStatus();
}

}  // namespace bramble::cli
