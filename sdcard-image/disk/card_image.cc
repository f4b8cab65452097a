// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/disk/card_image.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/encoding.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/undo.h"
#include "sdcard-image/disk/bytes.h"
#include "sdcard-image/disk/ext4.h"
#include "sdcard-image/disk/fat32.h"
#include "sdcard-image/disk/mbr.h"
#include "sdcard-image/disk/swap.h"

namespace bramble::sdcard {
namespace {

std::string Derived(std::string_view seed, std::string_view what, size_t bytes) {
  return std::string(Sha256(StrCat(what, "\n", seed)).view().substr(0, bytes));
}

// A UUID of version 8 (RFC 9562): made by a rule of ours.
std::string UuidFrom(std::string raw) {
  raw[6] = static_cast<char>((static_cast<unsigned char>(raw[6]) & 0x0f) | 0x80);
  raw[8] = static_cast<char>((static_cast<unsigned char>(raw[8]) & 0x3f) | 0x80);
  const std::string hex = HexEncode(raw);
  return StrCat(hex.substr(0, 8), "-", hex.substr(8, 4), "-", hex.substr(12, 4), "-",
                hex.substr(16, 4), "-", hex.substr(20));
}

absl::Status FillBoot(ByteDevice& image, const CardImageOptions& options, ExtentSet& mapped) {
  const Layout& layout = options.layout;
  DeviceWindow partition(image, layout.boot_offset, layout.boot_bytes);
  BRAMBLE_ASSIGN_OR_RETURN(
      FatVolume volume,
      FatVolume::Format(
          partition, {.label = options.boot_label,
                      .volume_id = options.ids.boot_volume_id,
                      .hidden_sectors = static_cast<uint32_t>(layout.boot_offset / kSectorBytes)}));
  volume.SetTime(options.time_s);
  std::vector<const BootFile*> files;
  for (const BootFile& file : options.boot_files) {
    files.push_back(&file);
  }
  std::sort(files.begin(), files.end(),
            [](const BootFile* a, const BootFile* b) { return a->path < b->path; });
  for (const BootFile* file : files) {
    BRAMBLE_RETURN_IF_ERROR(volume.WriteFile(file->path, file->bytes));
  }
  for (const Extent& used : volume.UsedExtents().extents()) {
    mapped.Add({layout.boot_offset + used.offset, used.size});
  }
  return absl::OkStatus();
}

absl::Status Fill(const CardImageOptions& options, const std::filesystem::path& path,
                  ExtentSet& mapped) {
  const Layout& layout = options.layout;
  BRAMBLE_ASSIGN_OR_RETURN(const auto image, FileDevice::Open(path, FileDevice::Mode::kReadWrite));
  BRAMBLE_RETURN_IF_ERROR(FillBoot(*image, options, mapped));
  if (layout.swap_bytes > 0) {
    DeviceWindow swap(*image, layout.swap_offset, layout.swap_bytes);
    BRAMBLE_RETURN_IF_ERROR(MakeSwap(swap, options.ids.swap_uuid, "bramble-swap"));
  }
  BRAMBLE_RETURN_IF_ERROR(MakeExt4({.image = path,
                                    .offset = layout.root_offset,
                                    .bytes = layout.root_bytes,
                                    .tree = options.root_tree,
                                    .label = options.root_label,
                                    .uuid = options.ids.root_uuid,
                                    .time_s = options.time_s}));
  // Last, so that what is not complete does not boot.
  BRAMBLE_RETURN_IF_ERROR(image->WriteAt(0, FormatMbr(layout.ToMbr(options.ids.disk_id))));
  BRAMBLE_ASSIGN_OR_RETURN(const ExtentSet data, MappedExtents(*image));
  mapped.Add(data);
  return absl::OkStatus();
}

}  // namespace

CardIds CardIds::FromSeed(std::string_view seed) {
  CardIds ids;
  ids.disk_id = GetLe32(Derived(seed, "disk", 4), 0) | 1;  // 0 means "none"
  ids.boot_volume_id = GetLe32(Derived(seed, "boot", 4), 0);
  ids.swap_uuid = Derived(seed, "swap", 16);
  ids.root_uuid = UuidFrom(Derived(seed, "root", 16));
  return ids;
}

absl::StatusOr<ExtentSet> MappedExtents(FileDevice& image) {
  BRAMBLE_ASSIGN_OR_RETURN(ExtentSet mapped, DataExtents(image.fd(), image.size()));
  BRAMBLE_ASSIGN_OR_RETURN(const std::string sector, image.Read(0, kMbrBytes));
  const absl::StatusOr<Mbr> mbr = ParseMbr(sector);
  if (!mbr.ok()) {
    return mapped;  // of another kind: its file tells
  }
  for (const MbrPartition& partition : mbr->partitions) {
    if (partition.type != kMbrLinux || partition.end() > image.size()) {
      continue;
    }
    DeviceWindow window(image, partition.offset(), partition.bytes());
    const absl::StatusOr<ExtentSet> journal = JournalExtents(window);
    if (!journal.ok()) {
      continue;  // not ext4
    }
    for (const Extent& extent : journal->extents()) {
      mapped.Add({partition.offset() + extent.offset, extent.size});
    }
  }
  return mapped;
}

absl::StatusOr<ExtentSet> MakeCardImage(const CardImageOptions& options,
                                        const std::filesystem::path& out) {
  const std::string part = out.string() + ".part";
  ::unlink(part.c_str());
  Undo undo;
  {
    BRAMBLE_ASSIGN_OR_RETURN(const Fd fd, OpenFile(part, O_RDWR | O_CREAT | O_EXCL));
    undo.Add([part] { ::unlink(part.c_str()); });
    if (::ftruncate(fd.get(), static_cast<off_t>(options.layout.card_bytes)) != 0) {
      return ErrnoStatus(errno, part);
    }
  }
  ExtentSet mapped;
  BRAMBLE_RETURN_IF_ERROR(Fill(options, part, mapped));
  if (::rename(part.c_str(), out.c_str()) != 0) {
    return ErrnoStatus(errno, out.string());
  }
  undo.Cancel();
  return mapped;
}

}  // namespace bramble::sdcard
