// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where things lie in an ext4 file system: what reading its journal and setting its times need.
// Source: Linux, Documentation/filesystems/ext4/.

#include <cstdint>
#include <string>

#include "sdcard-image/disk/byte_device.h"

#include "absl/status/statusor.h"

namespace bramble::sdcard {

inline constexpr uint32_t kExt4JournalInode = 8;

class Ext4Structure {
 public:
  // kInvalidArgument: no ext4, or one with sizes that make no sense.
  static absl::StatusOr<Ext4Structure> Read(ByteDevice& partition);

  const std::string& superblock() const { return superblock_; }
  uint64_t blocks() const { return blocks_; }
  uint32_t block_bytes() const { return block_bytes_; }
  uint32_t groups() const { return groups_; }
  uint32_t inode_bytes() const { return inode_bytes_; }
  uint32_t inodes_per_group() const { return inodes_per_group_; }
  bool has_metadata_checksums() const { return has_metadata_checksums_; }
  uint32_t checksum_seed() const { return checksum_seed_; }

  // First byte of a group's inode table.
  uint64_t InodeTable(uint32_t group) const;
  // Inodes at the table's end that were never used.
  uint32_t UnusedInodes(uint32_t group) const;
  absl::StatusOr<std::string> ReadInode(ByteDevice& partition, uint32_t number) const;

 private:
  Ext4Structure() = default;

  std::string superblock_;
  std::string descriptors_;
  uint64_t blocks_ = 0;
  uint32_t block_bytes_ = 0;
  uint32_t groups_ = 0;
  uint32_t inode_bytes_ = 0;
  uint32_t inodes_per_group_ = 0;
  uint32_t descriptor_bytes_ = 0;
  bool has_metadata_checksums_ = false;
  uint32_t checksum_seed_ = 0;
};

// CRC-32C as ext4 uses it: no final inversion.
uint32_t Crc32c(uint32_t seed, std::string_view bytes);

}  // namespace bramble::sdcard
