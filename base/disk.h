// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace bramble {

// The file operations that a journal is made of, so that a test can lose power between any two.
// SystemDisk is the real one; FakeDisk (base/fake_disk.h) drops what was not synced.
//
// What is durable: the bytes of a file after SyncFile; the names in a directory (files made,
// renamed, removed) after SyncDirectory.  Blocking.  Every error names the path.
class Disk {
 public:
  using Path = std::filesystem::path;
  virtual ~Disk() = default;

  // kNotFound; kResourceExhausted: longer than `max_bytes`.
  virtual absl::StatusOr<std::string> Read(const Path& path, size_t max_bytes) = 0;
  // Makes or empties `path` and writes `bytes`, mode 0600.
  virtual absl::Status Write(const Path& path, std::string_view bytes) = 0;
  // Adds `bytes` at the end of `path`, which is made when missing.
  virtual absl::Status Append(const Path& path, std::string_view bytes) = 0;
  virtual absl::Status SyncFile(const Path& path) = 0;
  virtual absl::Status SyncDirectory(const Path& path) = 0;
  // Replaces `to` when it exists.
  virtual absl::Status Rename(const Path& from, const Path& to) = 0;
  // kNotFound when there is none.
  virtual absl::Status Remove(const Path& path) = 0;
  // The names in `directory`, ordered, without "." and "..".
  virtual absl::StatusOr<std::vector<std::string>> List(const Path& directory) = 0;
  // No error when it exists.
  virtual absl::Status MakeDirectory(const Path& path) = 0;
};

class SystemDisk : public Disk {
 public:
  absl::StatusOr<std::string> Read(const Path& path, size_t max_bytes) override;
  absl::Status Write(const Path& path, std::string_view bytes) override;
  absl::Status Append(const Path& path, std::string_view bytes) override;
  absl::Status SyncFile(const Path& path) override;
  absl::Status SyncDirectory(const Path& path) override;
  absl::Status Rename(const Path& from, const Path& to) override;
  absl::Status Remove(const Path& path) override;
  absl::StatusOr<std::vector<std::string>> List(const Path& directory) override;
  absl::Status MakeDirectory(const Path& path) override;
};

// Write to "PATH.new", SyncFile, Rename, SyncDirectory: `path` is durably the old bytes or the new.
absl::Status ReplaceFile(Disk& disk, const Disk::Path& path, std::string_view bytes);

}  // namespace bramble
