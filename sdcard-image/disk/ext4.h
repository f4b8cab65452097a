// SPDX-License-Identifier: Apache-2.0
#pragma once

// The root of a card: ext4, made by mke2fs straight into its place in the image (no loop device, no
// mount, no copy), then made independent of when and where it was built.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include "sdcard-image/disk/byte_device.h"
#include "sdcard-image/disk/extents.h"

#include "absl/status/statusor.h"

namespace bramble::sdcard {

struct Ext4Options {
  std::filesystem::path image;
  uint64_t offset = 0;
  uint64_t bytes = 0;
  std::filesystem::path tree;  // its files; empty: an empty file system
  std::string label = "bramble-root";
  std::string uuid;    // "8c4a…-…"; also the hash seed of its directories
  int64_t time_s = 0;  // every time stamp in it
  uint64_t bytes_per_inode = 65536;
  uint64_t journal_bytes = 32 << 20;
  std::chrono::seconds deadline{600};
};

// Runs mke2fs (e2fsprogs 1.47 or newer) and sets the times of every inode.  Cost: that of writing
// the files.  kFailedPrecondition: no mke2fs here;  kResourceExhausted: the files do not fit.
absl::Status MakeExt4(const Ext4Options& options);

// What a superblock says.  Source: Linux, Documentation/filesystems/ext4/super.rst.
struct Ext4Facts {
  uint64_t bytes = 0;
  uint64_t free_bytes = 0;
  uint32_t inodes = 0;
  uint32_t free_inodes = 0;
  uint32_t block_bytes = 0;
  std::string label;
  std::string uuid;
  bool clean = false;  // unmounted, without errors
  bool has_journal = false;
  bool project_quota = false;
};
// kInvalidArgument: no ext4 there.
absl::StatusOr<Ext4Facts> ReadExt4Facts(ByteDevice& partition);

// Where the journal lies in `partition`: what of a used card must not survive a flash, since an
// old journal with the same identity would be replayed.
absl::StatusOr<ExtentSet> JournalExtents(ByteDevice& partition);

// Sets access, change, creation and modification times of every inode to at most `time_s`, with
// the checksums that follow.  Creation and change become the modification time.
absl::Status NormaliseExt4Times(ByteDevice& partition, int64_t time_s);

}  // namespace bramble::sdcard
