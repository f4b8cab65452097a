// SPDX-License-Identifier: Apache-2.0
// sdcard customise: another bramble.toml in an image that is there.
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/status.h"
#include "base/undo.h"
#include "sdcard-image/card/edit_card.h"
#include "sdcard-image/disk/bmap.h"
#include "sdcard-image/disk/card_image.h"
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
  BRAMBLE_ASSIGN_OR_RETURN(sdcard::ExtentSet mapped, sdcard::MappedExtents(*file));
  for (const sdcard::BmapRange& range : before.ranges) {
    mapped.Add(range.extent);
  }
  BRAMBLE_ASSIGN_OR_RETURN(const sdcard::Bmap after, sdcard::MakeBmap(*file, mapped));
  return WriteFileAtomically(map, sdcard::FormatBmap(after));
}

absl::Status Customise(const Args& args, Session& session) {
  const std::filesystem::path image = args.Positional(0);
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
