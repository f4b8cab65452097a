// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <istream>
#include <string>

#include "base/fd.h"

#include "absl/status/statusor.h"

namespace bramble::cli {

// A regular file open for reading, with what an upload must know of it.
struct OpenedFile {
  Fd fd;
  uint64_t bytes = 0;
  mode_t mode = 0644;  // its permissions
};

// `path`, or for "-" all of `in`, put into an unnamed temporary file first.
// kInvalidArgument: a directory or something that is no regular file.
absl::StatusOr<OpenedFile> OpenForUpload(const std::string& path, std::istream& in);

// An unnamed temporary file in /var/tmp, open for reading and writing, that goes with its
// descriptor.
absl::StatusOr<Fd> MakeUnnamedFile();

// A file that appears under its name only when it is whole: written beside it, then renamed.
// For "-", stdout takes the bytes as they come.
class DownloadedFile {
 public:
  DownloadedFile(std::string path, std::ostream& out) : path_(std::move(path)), out_(out) {}
  DownloadedFile(const DownloadedFile&) = delete;
  DownloadedFile& operator=(const DownloadedFile&) = delete;
  ~DownloadedFile();

  absl::Status Open(mode_t mode);
  absl::Status Write(std::string_view bytes);
  // Puts it in place.
  absl::Status Finish();
  uint64_t bytes() const { return bytes_; }

 private:
  const std::string path_;
  std::ostream& out_;
  std::string temporary_;
  Fd fd_;
  uint64_t bytes_ = 0;
};

}  // namespace bramble::cli
