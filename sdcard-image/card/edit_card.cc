// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/card/edit_card.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/status.h"
#include "sdcard-image/disk/extents.h"
#include "sdcard-image/disk/fat32.h"
#include "sdcard-image/disk/mbr.h"

namespace bramble::sdcard {

absl::Status EditCardSettings(ByteDevice& card, const ChangeSettings& change, int64_t time_s) {
  BRAMBLE_ASSIGN_OR_RETURN(const std::string table, card.Read(0, kMbrBytes));
  return EditCardSettingsBy(card, table, change, time_s);
}

absl::Status EditCardSettingsBy(ByteDevice& card, std::string_view table,
                                const ChangeSettings& change, int64_t time_s) {
  const absl::StatusOr<Mbr> mbr = ParseMbr(table);
  if (!mbr.ok()) {
    return Annotate(mbr.status(), card.name());
  }
  const MbrPartition& boot = mbr->partitions[0];
  if (boot.type == 0 || boot.end() > card.size()) {
    return absl::InvalidArgumentError(StrCat(card.name(), ": no boot partition in slot 1"));
  }
  DeviceWindow partition(card, boot.offset(), boot.bytes());
  BRAMBLE_ASSIGN_OR_RETURN(FatVolume volume, FatVolume::Open(partition));
  CardSettings settings;
  absl::StatusOr<std::string> text = volume.ReadFile(kSettingsFile, kMaxSettingsBytes);
  if (text.ok()) {
    BRAMBLE_ASSIGN_OR_RETURN(settings,
                             ParseCardSettings(*text, StrCat(card.name(), ":", kSettingsFile)));
  } else if (!absl::IsNotFound(text.status())) {
    return text.status();
  }
  BRAMBLE_ASSIGN_OR_RETURN(const std::string changed,
                           FormatCardSettings(change(std::move(settings))));
  volume.SetTime(time_s);
  return volume.WriteFile(kSettingsFile, changed);
}

absl::Status CopySparsely(const std::filesystem::path& from, const std::filesystem::path& to) {
  BRAMBLE_ASSIGN_OR_RETURN(const auto source, FileDevice::Open(from, FileDevice::Mode::kRead));
  BRAMBLE_ASSIGN_OR_RETURN(const Fd out, OpenFile(to, O_WRONLY | O_CREAT | O_TRUNC));
  if (::ftruncate(out.get(), static_cast<off_t>(source->size())) != 0) {
    return ErrnoStatus(errno, to.string());
  }
  BRAMBLE_ASSIGN_OR_RETURN(const ExtentSet data, DataExtents(source->fd(), source->size()));
  for (const Extent& extent : data.extents()) {
    off_t in = static_cast<off_t>(extent.offset);
    off_t at = in;
    while (static_cast<uint64_t>(in) < extent.end()) {
      const ssize_t copied = ::copy_file_range(source->fd(), &in, out.get(), &at,
                                               extent.end() - static_cast<uint64_t>(in), 0);
      if (copied <= 0) {
        return ErrnoStatus(copied < 0 ? errno : EIO, StrCat(to.string(), ": copying"));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace bramble::sdcard
