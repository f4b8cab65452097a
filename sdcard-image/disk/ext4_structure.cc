// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/disk/ext4_structure.h"

#include <array>

#include "base/status.h"
#include "sdcard-image/disk/bytes.h"

namespace bramble::sdcard {
namespace {

constexpr uint64_t kSuperblockAt = 1024;
constexpr size_t kSuperblockBytes = 1024;
constexpr uint32_t kIncompat64Bit = 0x80;
constexpr uint32_t kIncompatChecksumSeed = 0x2000;
constexpr uint32_t kRoCompatMetadataChecksums = 0x400;

constexpr std::array<uint32_t, 256> MakeCrcTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < table.size(); ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) {
      value = (value & 1) != 0 ? (value >> 1) ^ 0x82f63b78 : value >> 1;
    }
    table[i] = value;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kCrcTable = MakeCrcTable();

}  // namespace

uint32_t Crc32c(uint32_t seed, std::string_view bytes) {
  for (const char c : bytes) {
    seed = kCrcTable[(seed ^ static_cast<unsigned char>(c)) & 0xff] ^ (seed >> 8);
  }
  return seed;
}

absl::StatusOr<Ext4Structure> Ext4Structure::Read(ByteDevice& partition) {
  const auto wrong = [&partition](std::string_view what) {
    return absl::InvalidArgumentError(StrCat(partition.name(), ": no ext4 file system: ", what));
  };
  if (partition.size() < kSuperblockAt + kSuperblockBytes) {
    return wrong("too small");
  }
  Ext4Structure fs;
  BRAMBLE_ASSIGN_OR_RETURN(fs.superblock_, partition.Read(kSuperblockAt, kSuperblockBytes));
  const std::string& super = fs.superblock_;
  if (GetLe16(super, 0x38) != 0xef53) {
    return wrong("no superblock");
  }
  const uint32_t log_block = GetLe32(super, 0x18);
  const uint32_t per_group = GetLe32(super, 0x20);
  const uint32_t incompat = GetLe32(super, 0x60);
  fs.inodes_per_group_ = GetLe32(super, 0x28);
  fs.inode_bytes_ = GetLe16(super, 0x58);
  const bool wide = (incompat & kIncompat64Bit) != 0;
  fs.descriptor_bytes_ = wide ? GetLe16(super, 0xfe) : 32;
  if (log_block > 6 || per_group == 0 || fs.inodes_per_group_ == 0 || fs.inode_bytes_ < 128 ||
      fs.inode_bytes_ > 4096 || fs.descriptor_bytes_ < 32 || fs.descriptor_bytes_ > 1024) {
    return wrong("its superblock makes no sense");
  }
  fs.block_bytes_ = 1024u << log_block;
  fs.blocks_ = GetLe32(super, 0x4) | (wide ? uint64_t{GetLe32(super, 0x150)} << 32 : 0);
  const uint32_t first = GetLe32(super, 0x14);
  if (fs.blocks_ <= first || fs.blocks_ > partition.size() / fs.block_bytes_) {
    return wrong(StrCat("it says that it has ", fs.blocks_, " blocks of ", fs.block_bytes_,
                        " bytes, the partition has ", partition.size(), " bytes"));
  }
  fs.groups_ = static_cast<uint32_t>((fs.blocks_ - first + per_group - 1) / per_group);
  fs.has_metadata_checksums_ = (GetLe32(super, 0x64) & kRoCompatMetadataChecksums) != 0;
  fs.checksum_seed_ = (incompat & kIncompatChecksumSeed) != 0
                          ? GetLe32(super, 0x270)
                          : Crc32c(0xffffffff, std::string_view(super).substr(0x68, 16));
  const uint64_t table = uint64_t{first + 1} * fs.block_bytes_;
  BRAMBLE_ASSIGN_OR_RETURN(fs.descriptors_,
                           partition.Read(table, size_t{fs.groups_} * fs.descriptor_bytes_));
  for (uint32_t group = 0; group < fs.groups_; ++group) {
    const uint64_t table_end =
        fs.InodeTable(group) + uint64_t{fs.inodes_per_group_} * fs.inode_bytes_;
    if (table_end > fs.blocks_ * fs.block_bytes_ || fs.UnusedInodes(group) > fs.inodes_per_group_) {
      return wrong(StrCat("the descriptor of group ", group, " points outside"));
    }
  }
  return fs;
}

uint64_t Ext4Structure::InodeTable(uint32_t group) const {
  const size_t at = size_t{group} * descriptor_bytes_;
  const uint64_t high = descriptor_bytes_ >= 64 ? GetLe32(descriptors_, at + 0x28) : 0;
  return (GetLe32(descriptors_, at + 0x8) | high << 32) * block_bytes_;
}

uint32_t Ext4Structure::UnusedInodes(uint32_t group) const {
  const size_t at = size_t{group} * descriptor_bytes_;
  const uint32_t high = descriptor_bytes_ >= 64 ? GetLe16(descriptors_, at + 0x32) : 0;
  return GetLe16(descriptors_, at + 0x1c) | high << 16;
}

absl::StatusOr<std::string> Ext4Structure::ReadInode(ByteDevice& partition, uint32_t number) const {
  const uint32_t group = (number - 1) / inodes_per_group_;
  if (number == 0 || group >= groups_) {
    return absl::InvalidArgumentError(StrCat(partition.name(), ": no inode ", number));
  }
  return partition.Read(
      InodeTable(group) + uint64_t{(number - 1) % inodes_per_group_} * inode_bytes_, inode_bytes_);
}

}  // namespace bramble::sdcard
