// SPDX-License-Identifier: Apache-2.0
#pragma once

// The FAT32 file system of a boot partition, read and written without mounting it.  Enough for
// what is on one: directories, long names, files of some MiB.
//
// Equal calls with an equal time give equal bytes.  A power cut between two writes leaves at worst
// clusters that belong to no file: data first, then the table, then the directory entry.
// Source: Microsoft, "FAT32 File System Specification", 1.03.

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sdcard-image/disk/byte_device.h"
#include "sdcard-image/disk/extents.h"

#include "absl/status/statusor.h"

namespace bramble::sdcard {

inline constexpr size_t kMaxFatFileBytes = 256 << 20;
inline constexpr int kMaxFatDepth = 8;
inline constexpr size_t kMaxFatEntries = 65536;  // of one directory

struct FatFormatOptions {
  std::string label = "BRAMBLE";  // at most 11 of A-Z, 0-9, space, '-', '_'
  uint32_t volume_id = 0;
  uint32_t hidden_sectors = 0;  // the partition's first sector
};

struct FatEntry {
  std::string name;
  bool is_directory = false;
  uint32_t size = 0;
  uint32_t first_cluster = 0;
};

// One volume.  The device must outlive it.  Blocking; keeps the table in memory (1 MiB for a
// partition of 512 MiB).
class FatVolume {
 public:
  // Makes an empty file system over all of `device`, which must read as zeros where `was_zero`
  // says so.  kInvalidArgument: too small for FAT32 (65,525 clusters).
  static absl::StatusOr<FatVolume> Format(ByteDevice& device, const FatFormatOptions& options);
  // kInvalidArgument says what it is instead (FAT16, NTFS, nothing).
  static absl::StatusOr<FatVolume> Open(ByteDevice& device);

  FatVolume(FatVolume&&) = default;

  // Seconds since 1970 (UTC) that files written from now on bear.
  void SetTime(int64_t seconds) { time_s_ = seconds; }

  const std::string& label() const { return label_; }
  uint32_t volume_id() const { return volume_id_; }
  uint32_t cluster_bytes() const { return cluster_bytes_; }
  uint64_t free_bytes() const;
  uint64_t total_bytes() const { return uint64_t{clusters_} * cluster_bytes_; }

  // Paths are "overlays/README", compared without regard to case, as FAT does.
  // What a directory holds, in its order; "" is the root.
  absl::StatusOr<std::vector<FatEntry>> List(std::string_view directory);
  absl::StatusOr<FatEntry> Stat(std::string_view path);
  bool Exists(std::string_view path) { return Stat(path).ok(); }
  absl::StatusOr<std::string> ReadFile(std::string_view path, size_t max_bytes = kMaxFatFileBytes);
  // Makes or replaces a file, and the directories above it.  kResourceExhausted: no room, nothing
  // has changed.
  absl::Status WriteFile(std::string_view path, std::string_view bytes);
  // Removes a file and overwrites what it held with zeros.  kNotFound.
  absl::Status WipeFile(std::string_view path);

  // What of the volume is in use: system area, directories, files.  Relative to the volume.
  ExtentSet UsedExtents() const;
  // Two FATs that differ, chains that cross or lead nowhere: one line for each finding.
  std::vector<std::string> Check();

 private:
  struct Place {
    uint64_t offset = 0;  // of the short entry
    uint64_t first = 0;   // of the first long-name entry, or of the short one
    size_t entries = 1;   // long-name entries and the short one
    uint32_t directory = 0;
    uint32_t parent_cluster = 0;
    FatEntry entry;
  };
  explicit FatVolume(ByteDevice& device) : device_(&device) {}

  absl::Status ReadGeometry(std::string_view boot);
  absl::Status LoadTable();
  uint64_t ClusterOffset(uint32_t cluster) const;
  absl::StatusOr<std::vector<uint32_t>> Chain(uint32_t first) const;
  absl::StatusOr<std::string> ReadChain(uint32_t first, size_t max_bytes) const;
  absl::StatusOr<std::vector<Place>> ReadDirectory(uint32_t first) const;
  absl::StatusOr<Place> Find(std::string_view path) const;
  absl::StatusOr<std::vector<uint32_t>> Allocate(size_t clusters);
  void Free(const std::vector<uint32_t>& chain);
  absl::Status StoreTable();
  absl::StatusOr<uint32_t> WriteClusters(std::string_view bytes);
  absl::StatusOr<uint32_t> MakeDirectories(std::string_view path);
  absl::Status AddEntry(uint32_t directory, std::string_view name, bool is_directory,
                        uint32_t first_cluster, uint32_t size);
  absl::Status PutIntoDirectory(uint32_t directory, std::string_view raw);
  absl::Status ReplaceEntry(const Place& place, uint32_t first_cluster, uint32_t size);
  void PutTime(std::string& entry) const;

  ByteDevice* device_;
  std::string label_;
  uint32_t volume_id_ = 0;
  uint32_t cluster_bytes_ = 0;
  uint32_t clusters_ = 0;  // data clusters; numbers are 2 to clusters_ + 1
  uint32_t root_cluster_ = 2;
  uint32_t fat_sectors_ = 0;
  uint32_t fats_ = 2;
  uint32_t reserved_sectors_ = 0;
  uint32_t info_sector_ = 1;
  std::vector<uint32_t> table_;
  std::vector<bool> dirty_;  // sectors of the table
  uint32_t next_free_ = 2;
  int64_t time_s_ = 315532800;  // 1980-01-01, the first that FAT knows
};

}  // namespace bramble::sdcard
