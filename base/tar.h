// SPDX-License-Identifier: Apache-2.0
#pragma once

// Tar archives: their headers as text, and a reader that is given bytes and gives entries.  Pure.
//
// Written: ustar; a name or link that has no room there goes into a pax record, a number into
// base-256.  Read: ustar, pax (path, linkpath, size, uid, gid), GNU's long names and base-256.
// Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block"; GNU tar manual,
// "Basic Tar Format".

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace bramble {

inline constexpr size_t kTarBlock = 512;

enum class TarType { kFile, kDirectory, kSymlink, kHardLink, kOther };

struct TarEntry {
  std::string name;  // as it is in the archive: nothing is checked
  TarType type = TarType::kFile;
  uint64_t size = 0;     // bytes of data that follow; 0 unless a file
  uint32_t mode = 0644;  // 07777 at most
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t mtime_s = 0;  // since 1970
  std::string link;     // where a link leads
};

// The blocks before the data of `entry`.
std::string TarHeader(const TarEntry& entry);
// The zeros after `size` bytes of data.
std::string TarPadding(uint64_t size);
// The end of an archive.
std::string TarEnd();

// Reads an archive from its start.  Memory: one header, and names of at most 64 KiB.
class TarReader {
 public:
  // Fills `out` with up to `size` bytes and gives how many: fewer only at the end.
  using Source = std::function<absl::StatusOr<size_t>(char* out, size_t size)>;

  explicit TarReader(Source source) : source_(std::move(source)) {}

  // The next entry, nullopt at the archive's end; data that was not read is skipped.
  // kInvalidArgument: no tar archive, or it ends too early.
  absl::StatusOr<std::optional<TarEntry>> Next();
  // Of the entry's data at most `size` bytes; 0 at its end.
  absl::StatusOr<size_t> Read(char* out, size_t size);

 private:
  // What pax and GNU headers say of the entry that follows.
  struct Extra {
    std::string name;
    std::string link;
    std::optional<uint64_t> size, uid, gid;
  };

  absl::Status Fill(char* out, size_t size);
  absl::Status SkipRest();
  absl::StatusOr<std::string> ReadText(uint64_t size);
  absl::Status ReadPax(const std::string& records, Extra& extra);

  Source source_;
  uint64_t left_ = 0;     // of the entry's data
  uint64_t padding_ = 0;  // after it
};

}  // namespace bramble
