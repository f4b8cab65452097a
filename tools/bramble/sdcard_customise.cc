// SPDX-License-Identifier: Apache-2.0
// sdcard customise: another bramble.toml in an image that is there.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "base/status.h"
#include "base/undo.h"
#include "sdcard-image/card/edit_card.h"
#include "sdcard-image/disk/bmap.h"
#include "sdcard-image/disk/card_image.h"
#include "sdcard-image/disk/layout.h"
#include "sdcard-image/disk/mbr.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/sdcard_settings_flags.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

// The block map beside the image, if there is one, made to fit again.
absl::Status RenewMap(const std::filesystem::path& image, const std::filesystem::path& old_map,
                      const std::filesystem::path& map) {
  const absl::StatusOr<std::string> text = ReadFile(old_map, sdcard::kMaxBmapBytes);
  if (!text.ok()) {
    return absl::OkStatus();
  }
  BRAMBLE_ASSIGN_OR_RETURN(const sdcard::Bmap before, sdcard::ParseBmap(*text, old_map.string()));
  BRAMBLE_ASSIGN_OR_RETURN(const auto file,
                           sdcard::FileDevice::Open(image, sdcard::FileDevice::Mode::kRead));
  BRAMBLE_ASSIGN_OR_RETURN(const std::string table, file->Read(0, sdcard::kMbrBytes));
  BRAMBLE_ASSIGN_OR_RETURN(const sdcard::Mbr mbr, sdcard::ParseMbr(table));
  // Only the boot partition is another one: what the map says of the rest stays.
  const uint64_t begin = mbr.partitions[sdcard::kBootSlot].offset();
  const uint64_t end = mbr.partitions[sdcard::kBootSlot].end();
  sdcard::Bmap after;
  after.image_bytes = before.image_bytes;
  sdcard::ExtentSet changed;
  for (const sdcard::BmapRange& range : before.ranges) {
    if (range.extent.end() <= begin || range.extent.offset >= end) {
      after.ranges.push_back(range);
    } else {
      changed.Add(range.extent);
    }
  }
  BRAMBLE_ASSIGN_OR_RETURN(const sdcard::ExtentSet mapped, sdcard::MappedExtents(*file));
  for (const sdcard::Extent& extent : mapped.extents()) {
    const uint64_t from = std::max(begin, extent.offset);
    const uint64_t to = std::min(end, extent.end());
    if (from < to) {
      changed.Add({from, to - from});
    }
  }
  BRAMBLE_ASSIGN_OR_RETURN(const sdcard::Bmap boot, sdcard::MakeBmap(*file, changed));
  after.ranges.insert(after.ranges.end(), boot.ranges.begin(), boot.ranges.end());
  std::sort(after.ranges.begin(), after.ranges.end(),
            [](const sdcard::BmapRange& a, const sdcard::BmapRange& b) {
              return a.extent.offset < b.extent.offset;
            });
  return WriteFileAtomically(map, sdcard::FormatBmap(after));
}

// What is packed cannot be changed in place.
absl::Status RefusePacked(const std::filesystem::path& image) {
  BRAMBLE_ASSIGN_OR_RETURN(const auto file,
                           sdcard::FileDevice::Open(image, sdcard::FileDevice::Mode::kRead));
  const absl::StatusOr<std::string> head = file->Read(0, 4);
  if (head.ok() && (*head == "\x28\xb5\x2f\xfd" || head->substr(1) == "7zX")) {
    return absl::InvalidArgumentError(
        StrCat(image.string(),
               ": it is compressed: unpack it first (zstd -d, xz -d), or give "
               "these flags to `bramble sdcard flash`, which takes it as it is"));
  }
  return absl::OkStatus();
}

absl::Status Customise(const Args& args, Session& session) {
  const std::filesystem::path image = args.Positional(0);
  BRAMBLE_RETURN_IF_ERROR(RefusePacked(image));
  BRAMBLE_ASSIGN_OR_RETURN(const sdcard::CardSettings given, CardSettingsOf(args));
  std::filesystem::path target = image;
  Undo undo;
  if (args.Has("out")) {
    target = args.Text("out");
    undo.Add([target] { ::unlink(target.c_str()); });
    BRAMBLE_RETURN_IF_ERROR(sdcard::CopySparsely(image, target));
  }
  {
    BRAMBLE_ASSIGN_OR_RETURN(
        const auto device, sdcard::FileDevice::Open(target, sdcard::FileDevice::Mode::kReadWrite));
    const int64_t now =
        std::chrono::duration_cast<std::chrono::seconds>(session.clock.Wall().time_since_epoch())
            .count();
    BRAMBLE_RETURN_IF_ERROR(sdcard::EditCardSettings(
        *device, [&](sdcard::CardSettings there) { return sdcard::Merge(std::move(there), given); },
        now));
    BRAMBLE_RETURN_IF_ERROR(device->Flush());
  }
  BRAMBLE_RETURN_IF_ERROR(RenewMap(target, image.string() + ".bmap", target.string() + ".bmap"));
  undo.Cancel();
  session.out << Printable(target.string()) << ": customised\n";
  return absl::OkStatus();
}

std::vector<Flag> Flags() {
  std::vector<Flag> flags = {{.name = "out",
                              .value = "FILE",
                              .help = "change a copy instead (sparse) and leave IMAGE as it is",
                              .completes = Completes::kFiles}};
  for (Flag& flag : CardSettingsFlags()) {
    flags.push_back(std::move(flag));
  }
  return flags;
}

}  // namespace

std::vector<Command> SdcardCustomiseCommands() {
  return {{.path = "sdcard customise",
           .summary = "Change name, token, keys or network of an image that is there.",
           .positionals = {{.name = "IMAGE",
                            .help = "a raw image, or a card",
                            .completes = Completes::kFiles}},
           .flags = Flags(),
           .details = "Edits bramble.toml on the boot partition: no root, no mount, under a "
                      "second.  What is not\n"
                      "said stays as it is.  The block map beside the image is renewed.",
           .examples = "bramble sdcard customise pi-arm64.img --hostname pi-07 --token-file token\n"
                       "bramble sdcard customise pi-arm64.img --out pi-08.img --hostname pi-08",
           .run = Customise}};
}

}  // namespace bramble::cli
