// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/inspect/inspect.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "base/config.h"
#include "base/file.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "base/undo.h"
#include "sdcard-image/card/card_settings.h"
#include "sdcard-image/disk/fat32.h"
#include "sdcard-image/disk/image_reader.h"
#include "sdcard-image/disk/layout.h"
#include "sdcard-image/disk/swap.h"

namespace bramble::sdcard {
namespace {

constexpr size_t kMaxTextBytes = 1 << 20;
constexpr size_t kMaxModulesBytes = 16 << 20;

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool IsCompressed(const std::filesystem::path& image) {
  const absl::StatusOr<Fd> fd = OpenFile(image, O_RDONLY);
  char head[6] = {};
  if (!fd.ok() || ::pread(fd->get(), head, sizeof(head), 0) != sizeof(head)) {
    return false;
  }
  const std::string_view bytes(head, sizeof(head));
  return bytes.starts_with("\x28\xb5\x2f\xfd") || bytes.starts_with(
                                                      "\xfd"
                                                      "7zXZ");
}

absl::Status Unpack(const std::filesystem::path& image, const std::filesystem::path& out) {
  BRAMBLE_ASSIGN_OR_RETURN(const auto reader, ImageReader::Open(image));
  BRAMBLE_ASSIGN_OR_RETURN(const Fd fd, OpenFile(out, O_RDWR | O_CREAT | O_TRUNC, 0600));
  uint64_t end = 0;
  while (true) {
    BRAMBLE_ASSIGN_OR_RETURN(const auto piece, reader->Next());
    if (!piece.has_value()) {
      break;
    }
    end = piece->offset + piece->size;
    if (!piece->hole &&
        ::pwrite(fd.get(), piece->bytes->data(), piece->bytes->size(),
                 static_cast<off_t>(piece->offset)) != static_cast<ssize_t>(piece->bytes->size())) {
      return ErrnoStatus(errno, StrCat(out.string(), ": unpacking the image"));
    }
  }
  return ::ftruncate(fd.get(), static_cast<off_t>(end)) == 0 ? absl::OkStatus()
                                                             : ErrnoStatus(errno, out.string());
}

void ReadBoot(ByteDevice& partition, ImageFacts& facts, PartitionFacts& part) {
  absl::StatusOr<FatVolume> volume = FatVolume::Open(partition);
  if (!volume.ok()) {
    facts.boot.boot_problem = MessageOf(volume.status());
    return;
  }
  part.holds = "FAT32";
  part.label = volume->label();
  part.free_bytes = volume->free_bytes();
  facts.boot.boot_problem.clear();
  facts.boot.boot_free_bytes = volume->free_bytes();
  for (const std::string& line : volume->Check()) {
    facts.damage.push_back("boot partition: " + line);
  }
  const absl::StatusOr<std::vector<FatEntry>> files = volume->List("");
  for (const FatEntry& file : files.ok() ? *files : std::vector<FatEntry>()) {
    facts.boot.files[Lower(file.name)] = file.size;
  }
  const auto text = [&](std::string_view name) {
    return volume->ReadFile(name, kMaxTextBytes).value_or("");
  };
  facts.boot.config_txt = text("config.txt");
  facts.boot.cmdline_txt = text("cmdline.txt");
  facts.settings = MaskSecrets(text(kSettingsFile));
  facts.image_info = text("image.toml");
}

void ReadOther(ByteDevice& partition, PartitionFacts& part, ImageFacts& facts) {
  if (const auto ext4 = ReadExt4Facts(partition); ext4.ok()) {
    part.holds = "ext4";
    part.label = ext4->label;
    part.free_bytes = ext4->free_bytes;
    if (!ext4->clean) {
      facts.damage.push_back(
          StrCat("partition ", part.number, ": not unmounted cleanly, or with errors: run e2fsck"));
    }
  } else if (const auto swap = ReadSwapFacts(partition); swap.ok()) {
    part.holds = "swap";
    part.label = swap->label;
  }
}

// A file of an ext4 file system inside an image, "" where it is not to be had.
std::string Ext4File(const std::filesystem::path& image, uint64_t offset, const std::string& path) {
  const Command command{
      .argv = {"debugfs", "-R", "cat " + path, StrCat(image.string(), "?offset=", offset)},
      .max_output_bytes = kMaxModulesBytes};
  return RunCommandForOutput(command).value_or("");
}

void ReadDrivers(const std::filesystem::path& image, ImageFacts& facts) {
  const std::string kernel = ConfigValue(facts.boot.config_txt, "kernel");
  const size_t dash = kernel.find('-');
  if (dash == std::string::npos ||
      kernel.find_first_not_of(
          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+_-~") !=
          std::string::npos) {
    return;
  }
  facts.kernel_version = kernel.substr(dash + 1);
  std::set<std::string> drivers;
  for (const PartitionFacts& part : facts.partitions) {
    for (const char* list : {"modules.dep", "modules.builtin"}) {
      if (part.holds == "ext4") {
        AddDrivers(Ext4File(image, part.entry.offset(),
                            StrCat("/usr/lib/modules/", facts.kernel_version, "/", list)),
                   drivers);
      }
    }
  }
  if (!drivers.empty()) {
    facts.boot.drivers = std::move(drivers);
  }
}

}  // namespace

void AddDrivers(std::string_view listing, std::set<std::string>& drivers) {
  std::istringstream lines{std::string(listing)};
  std::string line;
  while (std::getline(lines, line)) {
    line = line.substr(0, line.find(':'));
    line = line.substr(line.rfind('/') + 1);
    const size_t end = line.find(".ko");
    if (end != std::string::npos && end > 0) {
      line = line.substr(0, end);
      std::replace(line.begin(), line.end(), '-', '_');
      drivers.insert(line);
    }
  }
}

absl::StatusOr<Sha256Digest> ImageDigest(const std::filesystem::path& image) {
  BRAMBLE_ASSIGN_OR_RETURN(const auto reader, ImageReader::Open(image));
  const std::string zeros(kUnitBytes, '\0');
  Sha256Stream hash;
  while (true) {
    BRAMBLE_ASSIGN_OR_RETURN(const auto piece, reader->Next());
    if (!piece.has_value()) {
      return hash.Finish();
    }
    if (!piece->hole) {
      hash.Update(*piece->bytes);
      continue;
    }
    for (uint64_t left = piece->size; left > 0; left -= std::min(left, kUnitBytes)) {
      hash.Update(std::string_view(zeros).substr(0, std::min(left, kUnitBytes)));
    }
  }
}

std::vector<std::string> ClaimedBoards(const ImageFacts& facts) {
  const absl::StatusOr<ConfigFile> info = ConfigFile::Parse(facts.image_info, "image.toml");
  if (!info.ok()) {
    return {};
  }
  ConfigReader reader = info->Root();
  const std::string board = reader.String("board");
  return board.empty() ? std::vector<std::string>() : std::vector<std::string>{board};
}

absl::StatusOr<ImageFacts> InspectImage(const std::filesystem::path& image,
                                        const std::filesystem::path& scratch) {
  std::filesystem::path raw = image;
  Undo remove;
  if (IsCompressed(image)) {
    raw = scratch / StrCat("bramble-inspect-", ::getpid(), ".img");
    remove.Add([raw] { ::unlink(raw.c_str()); });
    BRAMBLE_RETURN_IF_ERROR(Unpack(image, raw));
  }
  BRAMBLE_ASSIGN_OR_RETURN(const auto device, FileDevice::Open(raw, FileDevice::Mode::kRead));
  ImageFacts facts;
  facts.name = image.string();
  facts.bytes = device->size();
  facts.boot.image_bytes = facts.bytes;
  facts.boot.boot_problem = "there is no first partition";
  if (facts.bytes < kMbrBytes) {
    return absl::DataLossError(StrCat(image.string(), ": ", facts.bytes, " bytes are no image"));
  }
  BRAMBLE_ASSIGN_OR_RETURN(const std::string sector, device->Read(0, kMbrBytes));
  const absl::StatusOr<Mbr> mbr = ParseMbr(sector);
  if (!mbr.ok()) {
    return facts;
  }
  facts.boot.mbr = *mbr;
  for (int number = 1; number <= 4; ++number) {
    PartitionFacts part;
    part.number = number;
    part.entry = mbr->partitions[static_cast<size_t>(number - 1)];
    if (part.entry.type == 0) {
      continue;
    }
    part.start_aligned = part.entry.offset() % kUnitBytes == 0;
    part.end_aligned = part.entry.end() % kUnitBytes == 0;
    part.holds = "nothing known";
    if (part.entry.end() <= facts.bytes) {
      DeviceWindow window(*device, part.entry.offset(), part.entry.bytes());
      if (number == 1) {
        ReadBoot(window, facts, part);
      }
      if (part.holds == "nothing known") {
        ReadOther(window, part, facts);
      }
    } else {
      part.holds = "cut short";
    }
    facts.partitions.push_back(std::move(part));
  }
  ReadDrivers(raw, facts);
  return facts;
}

}  // namespace bramble::sdcard
