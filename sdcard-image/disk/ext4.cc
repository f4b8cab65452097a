// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/disk/ext4.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "sdcard-image/disk/bytes.h"
#include "sdcard-image/disk/ext4_structure.h"

namespace bramble::sdcard {
namespace {

// Named in full, so that no mke2fs.conf of the building machine changes the card.  project and
// quota: for the disk limits of containers.
constexpr std::string_view kFeatures =
    "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,"
    "large_file,huge_file,dir_nlink,extra_isize,metadata_csum,project,quota";
// Blocks of 4 KiB that online growth must reach: 2 TiB.
constexpr uint64_t kResizeBlocks = (uint64_t{2} << 40) / 4096 - 1;
constexpr uint32_t kCompatJournal = 0x4;
constexpr uint32_t kRoCompatProject = 0x2000;
constexpr uint16_t kStateClean = 0x1;
constexpr uint16_t kStateErrors = 0x2;
constexpr uint32_t kInodeFlagExtents = 0x80000;
constexpr uint16_t kExtentMagic = 0xf30a;
constexpr size_t kBlockMapAt = 0x28;
constexpr size_t kBlockMapBytes = 60;
constexpr int kMaxExtentDepth = 5;
constexpr size_t kTableChunkBytes = 1 << 20;

std::string UuidText(std::string_view raw) {
  const std::string hex = HexEncode(raw);
  return StrCat(hex.substr(0, 8), "-", hex.substr(8, 4), "-", hex.substr(12, 4), "-",
                hex.substr(16, 4), "-", hex.substr(20));
}

std::vector<std::string> Mke2fsCommand(const Ext4Options& options) {
  std::vector<std::string> argv = {
      "mke2fs",
      "-q",
      "-F",
      "-t",
      "ext4",
      "-b",
      "4096",
      "-I",
      "256",
      "-i",
      StrCat(options.bytes_per_inode),
      "-m",
      "1",
      "-J",
      StrCat("size=", options.journal_bytes >> 20),
      "-O",
      std::string(kFeatures),
      "-L",
      options.label,
      "-U",
      options.uuid,
      "-E",
      StrCat("offset=", options.offset, ",hash_seed=", options.uuid, ",resize=", kResizeBlocks,
             ",root_owner=0:0,quotatype=usrquota:grpquota:prjquota,nodiscard")};
  if (!options.tree.empty()) {
    argv.insert(argv.end(), {"-d", options.tree.string()});
  }
  argv.push_back(options.image.string());
  argv.push_back(StrCat(options.bytes / 1024, "k"));
  return argv;
}

std::vector<std::string> ReproducibleEnvironment(int64_t time_s) {
  return {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
          "LC_ALL=C",
          "MKE2FS_SKIP_PROGRESS=1",
          "MKE2FS_CONFIG=/dev/null",
          StrCat("E2FSPROGS_FAKE_TIME=", time_s),
          StrCat("E2FSCK_TIME=", time_s),  // e2fsck's own
          StrCat("SOURCE_DATE_EPOCH=", time_s)};
}

// The times of one inode, and its checksum.  False: it is not in use.
bool NormaliseInode(std::string& inode, uint32_t number, const Ext4Structure& fs, int64_t limit_s) {
  const bool in_use = GetLe16(inode, 0x0) != 0 || GetLe16(inode, 0x1a) != 0;
  if (!in_use) {
    return false;
  }
  const auto now =
      static_cast<uint32_t>(std::min<int64_t>(static_cast<int32_t>(GetLe32(inode, 0x10)), limit_s));
  for (const size_t at : {size_t{0x8}, size_t{0xc}, size_t{0x10}}) {
    PutLe32(inode, at, now);
  }
  const size_t extra = inode.size() > 128 ? GetLe16(inode, 0x80) : 0;
  if (extra >= 0x18) {
    PutLe32(inode, 0x84, 0);    // change time, beyond seconds
    PutLe32(inode, 0x88, 0);    // modification
    PutLe32(inode, 0x8c, 0);    // access
    PutLe32(inode, 0x90, now);  // creation
    PutLe32(inode, 0x94, 0);
  }
  if (fs.has_metadata_checksums()) {
    PutLe16(inode, 0x7c, 0);
    if (extra >= 4) {
      PutLe16(inode, 0x82, 0);
    }
    std::string head(8, '\0');
    PutLe32(head, 0, number);
    PutLe32(head, 4, GetLe32(inode, 0x64));  // generation
    const uint32_t sum = Crc32c(Crc32c(fs.checksum_seed(), head), inode);
    PutLe16(inode, 0x7c, static_cast<uint16_t>(sum));
    if (extra >= 4) {
      PutLe16(inode, 0x82, static_cast<uint16_t>(sum >> 16));
    }
  }
  return true;
}

// The blocks that a node of an extent tree names.
absl::Status WalkExtents(ByteDevice& partition, const Ext4Structure& fs, std::string_view node,
                         int depth_left, ExtentSet& found) {
  if (node.size() < 12 || GetLe16(node, 0) != kExtentMagic || depth_left < 0) {
    return absl::DataLossError(StrCat(partition.name(), ": damaged extent tree"));
  }
  const size_t entries = GetLe16(node, 2);
  const uint16_t depth = GetLe16(node, 6);
  if (12 + entries * 12 > node.size()) {
    return absl::DataLossError(StrCat(partition.name(), ": damaged extent tree"));
  }
  for (size_t i = 0; i < entries; ++i) {
    const size_t at = 12 + i * 12;
    if (depth == 0) {
      const uint64_t start = GetLe32(node, at + 8) | uint64_t{GetLe16(node, at + 6)} << 32;
      const uint32_t length = GetLe16(node, at + 4);
      found.Add({start * fs.block_bytes(),
                 uint64_t{length > 32768 ? length - 32768 : length} * fs.block_bytes()});
      continue;
    }
    const uint64_t child = GetLe32(node, at + 4) | uint64_t{GetLe16(node, at + 8)} << 32;
    BRAMBLE_ASSIGN_OR_RETURN(const std::string below,
                             partition.Read(child * fs.block_bytes(), fs.block_bytes()));
    found.Add({child * fs.block_bytes(), fs.block_bytes()});
    BRAMBLE_RETURN_IF_ERROR(WalkExtents(partition, fs, below, depth_left - 1, found));
  }
  return absl::OkStatus();
}

// mke2fs counts the quota before it copies the tree; e2fsck counts it anew, and looks at all the
// rest.  Where it also packs a directory, what it counted is a block off: so until it finds
// nothing.
absl::Status CountQuota(const Ext4Options& options) {
  Command command{
      .argv = {"e2fsck", "-fy", StrCat(options.image.string(), "?offset=", options.offset)},
      .environment = ReproducibleEnvironment(options.time_s),
      .deadline = options.deadline};
  constexpr int kErrorsCorrected = 1;
  constexpr int kMaxRounds = 5;
  for (int round = 1;; ++round) {
    BRAMBLE_ASSIGN_OR_RETURN(const CommandResult result, RunCommand(command));
    const bool corrected = result.exit.signal == 0 && result.exit.code == kErrorsCorrected;
    if (!corrected || round == kMaxRounds) {
      return Annotate(CheckOk(command, result), "the root file system");
    }
  }
}

}  // namespace

absl::Status MakeExt4(const Ext4Options& options) {
  Command command{.argv = Mke2fsCommand(options),
                  .environment = ReproducibleEnvironment(options.time_s),
                  .deadline = options.deadline};
  absl::StatusOr<CommandResult> result = RunCommand(command);
  if (absl::IsNotFound(result.status())) {
    return absl::FailedPreconditionError("mke2fs is not installed: apt install e2fsprogs");
  }
  BRAMBLE_RETURN_IF_ERROR(result.status());
  if (absl::Status good = CheckOk(command, *result); !good.ok()) {
    const bool full = result->err.find("Could not allocate") != std::string::npos ||
                      result->err.find("No space left") != std::string::npos;
    return full ? absl::ResourceExhaustedError(StrCat("the root file system: ", MessageOf(good)))
                : Annotate(good, "the root file system");
  }
  BRAMBLE_RETURN_IF_ERROR(CountQuota(options));
  BRAMBLE_ASSIGN_OR_RETURN(const auto image,
                           FileDevice::Open(options.image, FileDevice::Mode::kReadWrite));
  DeviceWindow partition(*image, options.offset, options.bytes);
  return NormaliseExt4Times(partition, options.time_s);
}

absl::StatusOr<Ext4Facts> ReadExt4Facts(ByteDevice& partition) {
  BRAMBLE_ASSIGN_OR_RETURN(const Ext4Structure fs, Ext4Structure::Read(partition));
  const std::string& super = fs.superblock();
  const uint64_t free = GetLe32(super, 0xc) | uint64_t{GetLe32(super, 0x158)} << 32;
  Ext4Facts facts;
  facts.block_bytes = fs.block_bytes();
  facts.bytes = fs.blocks() * fs.block_bytes();
  facts.free_bytes = std::min(free, fs.blocks()) * fs.block_bytes();
  facts.inodes = GetLe32(super, 0x0);
  facts.free_inodes = GetLe32(super, 0x10);
  facts.label = super.substr(0x78, 16);
  facts.label.resize(std::min(facts.label.find('\0'), facts.label.size()));
  facts.uuid = UuidText(std::string_view(super).substr(0x68, 16));
  const uint16_t state = GetLe16(super, 0x3a);
  facts.clean = (state & kStateClean) != 0 && (state & kStateErrors) == 0;
  facts.has_journal = (GetLe32(super, 0x5c) & kCompatJournal) != 0;
  facts.project_quota = (GetLe32(super, 0x64) & kRoCompatProject) != 0;
  return facts;
}

absl::StatusOr<ExtentSet> JournalExtents(ByteDevice& partition) {
  BRAMBLE_ASSIGN_OR_RETURN(const Ext4Structure fs, Ext4Structure::Read(partition));
  ExtentSet journal;
  if ((GetLe32(fs.superblock(), 0x5c) & kCompatJournal) == 0) {
    return journal;
  }
  BRAMBLE_ASSIGN_OR_RETURN(const std::string inode, fs.ReadInode(partition, kExt4JournalInode));
  if ((GetLe32(inode, 0x20) & kInodeFlagExtents) == 0) {
    return journal;  // a journal of ext3's kind; its blocks are mapped one by one
  }
  BRAMBLE_RETURN_IF_ERROR(WalkExtents(partition, fs,
                                      std::string_view(inode).substr(kBlockMapAt, kBlockMapBytes),
                                      kMaxExtentDepth, journal));
  return journal;
}

absl::Status NormaliseExt4Times(ByteDevice& partition, int64_t time_s) {
  BRAMBLE_ASSIGN_OR_RETURN(const Ext4Structure fs, Ext4Structure::Read(partition));
  const uint32_t step = static_cast<uint32_t>(kTableChunkBytes / fs.inode_bytes());
  for (uint32_t group = 0; group < fs.groups(); ++group) {
    const uint32_t used = fs.inodes_per_group() - fs.UnusedInodes(group);
    for (uint32_t at = 0; at < used; at += step) {
      const uint32_t count = std::min(step, used - at);
      const uint64_t offset = fs.InodeTable(group) + uint64_t{at} * fs.inode_bytes();
      BRAMBLE_ASSIGN_OR_RETURN(std::string table,
                               partition.Read(offset, size_t{count} * fs.inode_bytes()));
      bool changed = false;
      for (uint32_t i = 0; i < count; ++i) {
        const size_t begin = size_t{i} * fs.inode_bytes();
        std::string inode = table.substr(begin, fs.inode_bytes());
        const uint32_t number = group * fs.inodes_per_group() + at + i + 1;
        if (NormaliseInode(inode, number, fs, time_s)) {
          table.replace(begin, inode.size(), inode);
          changed = true;
        }
      }
      if (changed) {
        BRAMBLE_RETURN_IF_ERROR(partition.WriteAt(offset, table));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace bramble::sdcard
