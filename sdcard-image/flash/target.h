// SPDX-License-Identifier: Apache-2.0
#pragma once

// Whether a device may be overwritten: it is a card, nobody uses it, it is large enough, and as
// large as it says.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "sdcard-image/disk/byte_device.h"

#include "absl/status/statusor.h"

namespace bramble::sdcard {

struct TargetFacts {
  std::string path;
  bool is_block_device = false;
  uint64_t bytes = 0;
  bool read_only = false;
  bool removable = false;               // as the kernel says: card readers and sticks
  bool is_partition = false;            // /dev/sdb1 and not /dev/sdb
  bool holds_system = false;            // something of / is on it
  std::vector<std::string> mounted_at;  // of it or its partitions
  std::vector<std::string> used_by;     // swap, RAID, LVM, crypt
  std::string model;
};

// Where the kernel tells: parameters, so that a test writes them.
struct KernelRoots {
  std::filesystem::path sys = "/sys";
  std::filesystem::path proc = "/proc";
};

// kNotFound; kInvalidArgument: neither a block device nor a file.
absl::StatusOr<TargetFacts> GatherTargetFacts(const std::filesystem::path& path,
                                              const KernelRoots& roots = {});

// Whether an image of `image_bytes` may be written there.  kFailedPrecondition says why not and
// what to do; a device too small is told by how many bytes.  Pure.
absl::Status CheckTarget(const TargetFacts& facts, uint64_t image_bytes);

// Whether `device` really holds `bytes`: cards that claim more than they have keep what is written
// beyond elsewhere, or nowhere.  Writes tags of 4 KiB at powers of two and at the end, reads them
// back, and restores what was there.  kDataLoss says how much it seems to hold.  Cost: some 30
// blocks of 4 KiB, each way.
absl::Status ProbeCapacity(ByteDevice& device, uint64_t bytes);

}  // namespace bramble::sdcard
