// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/flash/target.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <sstream>

#include "base/file.h"
#include "base/random.h"
#include "base/status.h"

#include "absl/strings/numbers.h"

namespace bramble::sdcard {
namespace {

constexpr size_t kMaxProcBytes = 4 << 20;
constexpr uint64_t kKernelSectorBytes = 512;  // Linux, Documentation/ABI/stable/sysfs-block, "size"
constexpr size_t kTagBytes = 4096;
constexpr uint64_t kFirstTag = 64 << 20;

std::string TrimmedFile(const std::filesystem::path& path) {
  absl::StatusOr<std::string> text = ReadFile(path, 4096);
  if (!text.ok()) {
    return "";
  }
  text->erase(text->find_last_not_of(" \n\t") + 1);
  return *std::move(text);
}

// "8:16" of the disk and of each of its partitions.
std::vector<std::string> NumbersOf(const std::filesystem::path& disk) {
  std::vector<std::string> numbers = {TrimmedFile(disk / "dev")};
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(disk, ignored)) {
    if (std::filesystem::exists(entry.path() / "partition", ignored)) {
      numbers.push_back(TrimmedFile(entry.path() / "dev"));
    }
  }
  return numbers;
}

// What is built on the disk or its partitions: md0, dm-1.
std::vector<std::string> HoldersOf(const std::filesystem::path& disk) {
  std::vector<std::string> holders;
  std::error_code ignored;
  const auto add = [&](const std::filesystem::path& device) {
    for (const auto& entry : std::filesystem::directory_iterator(device / "holders", ignored)) {
      holders.push_back(entry.path().filename().string());
    }
  };
  add(disk);
  for (const auto& entry : std::filesystem::directory_iterator(disk, ignored)) {
    if (std::filesystem::exists(entry.path() / "partition", ignored)) {
      add(entry.path());
    }
  }
  return holders;
}

void AddMounts(const std::vector<std::string>& numbers, const std::string& mountinfo,
               TargetFacts& facts) {
  std::istringstream lines(mountinfo);
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string id, parent, number, root, where;
    words >> id >> parent >> number >> root >> where;
    if (std::find(numbers.begin(), numbers.end(), number) != numbers.end()) {
      facts.mounted_at.push_back(where);
      facts.holds_system = facts.holds_system || where == "/" || where == "/boot" ||
                           where == "/boot/firmware" || where == "/usr";
    }
  }
}

void AddSwap(const std::filesystem::path& disk, const std::string& swaps, TargetFacts& facts) {
  std::istringstream lines(swaps);
  std::string line;
  const std::string name = disk.filename().string();
  while (std::getline(lines, line)) {
    const std::string device = line.substr(0, line.find_first_of(" \t"));
    if (device.starts_with("/dev/" + name)) {
      facts.used_by.push_back("swap");
    }
  }
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    text += (text.empty() ? "" : ", ") + word;
  }
  return text;
}

}  // namespace

absl::StatusOr<TargetFacts> GatherTargetFacts(const std::filesystem::path& path,
                                              const KernelRoots& roots) {
  // Not opened: what must not be touched is named as such, also where it may not be read.
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) {
    return ErrnoStatus(errno, path.string());
  }
  TargetFacts facts;
  facts.path = path.string();
  facts.is_block_device = S_ISBLK(info.st_mode);
  if (S_ISREG(info.st_mode)) {
    facts.bytes = static_cast<uint64_t>(info.st_size);
    return facts;
  }
  if (!facts.is_block_device) {
    return absl::InvalidArgumentError(
        StrCat(path.string(), ": neither a file nor a block device such as /dev/sdb"));
  }
  std::error_code ignored;
  const std::filesystem::path self = std::filesystem::canonical(
      roots.sys / "dev/block" / StrCat(major(info.st_rdev), ":", minor(info.st_rdev)), ignored);
  facts.is_partition = std::filesystem::exists(self / "partition", ignored);
  const std::filesystem::path disk = facts.is_partition ? self.parent_path() : self;
  uint64_t sectors = 0;
  if (absl::SimpleAtoi(TrimmedFile(self / "size"), &sectors)) {
    facts.bytes = sectors * kKernelSectorBytes;
  }
  facts.read_only = TrimmedFile(disk / "ro") == "1";
  facts.removable =
      TrimmedFile(disk / "removable") == "1" || disk.filename().string().starts_with("mmcblk");
  facts.model = TrimmedFile(disk / "device/model");
  BRAMBLE_ASSIGN_OR_RETURN(const std::string mounts,
                           ReadFile(roots.proc / "self/mountinfo", kMaxProcBytes));
  AddMounts(NumbersOf(disk), mounts, facts);
  AddSwap(disk, ReadFile(roots.proc / "swaps", kMaxProcBytes).value_or(""), facts);
  for (std::string& holder : HoldersOf(disk)) {
    facts.used_by.push_back(std::move(holder));
  }
  return facts;
}

absl::Status CheckTarget(const TargetFacts& facts, uint64_t image_bytes) {
  const auto refuse = [&facts](std::string_view why) {
    return absl::FailedPreconditionError(StrCat(facts.path, ": ", why));
  };
  if (facts.holds_system) {
    return refuse("this is the disk that this system runs from");
  }
  if (facts.is_partition) {
    return refuse("this is a partition: name the whole card, such as /dev/sdb or /dev/mmcblk0");
  }
  if (!facts.mounted_at.empty()) {
    return refuse(StrCat("it is mounted at ", Joined(facts.mounted_at), ": unmount it first"));
  }
  if (!facts.used_by.empty()) {
    return refuse(StrCat("it is in use by ", Joined(facts.used_by)));
  }
  if (facts.read_only) {
    return refuse("it is write-protected: look at the switch on the card or its adapter");
  }
  if (facts.is_block_device && facts.bytes == 0) {
    return refuse("there is no card in it");
  }
  // A file grows as it must.
  if (facts.is_block_device && facts.bytes < image_bytes) {
    return refuse(StrCat("it is too small by ", image_bytes - facts.bytes, " bytes: it has ",
                         facts.bytes, ", the image needs ", image_bytes));
  }
  return absl::OkStatus();
}

absl::Status ProbeCapacity(ByteDevice& device, uint64_t bytes) {
  std::vector<uint64_t> places;
  for (uint64_t at = kFirstTag; at + kTagBytes < bytes; at *= 2) {
    places.push_back(at);
  }
  places.push_back(bytes - kTagBytes);
  std::vector<std::string> before;
  for (const uint64_t at : places) {
    BRAMBLE_ASSIGN_OR_RETURN(std::string kept, device.Read(at, kTagBytes));
    before.push_back(std::move(kept));
  }
  SystemRandom random;
  const std::string session = random.Bytes(32);
  const auto tag = [&](uint64_t at) {
    std::string block(kTagBytes, '\0');
    const std::string text = StrCat("bramble capacity probe at ", at, " ", session);
    return block.replace(0, text.size(), text);
  };
  absl::Status status;
  for (size_t i = places.size(); status.ok() && i > 0; --i) {
    status = device.WriteAt(places[i - 1], tag(places[i - 1]));
  }
  if (status.ok()) {
    status = device.Flush();
  }
  uint64_t good_to = 0;
  for (size_t i = 0; status.ok() && i < places.size(); ++i) {
    const absl::StatusOr<std::string> found = device.Read(places[i], kTagBytes);
    if (!found.ok() || *found != tag(places[i])) {
      status = absl::DataLossError(
          StrCat(device.name(), ": a counterfeit or broken card: it says that it holds ", bytes,
                 " bytes, but what is written at ", places[i],
                 " is not there when it is read; it seems to hold ",
                 good_to == 0 ? std::string("next to nothing")
                              : StrCat("between ", good_to, " and ", places[i], " bytes")));
    } else {
      good_to = places[i];
    }
  }
  for (size_t i = 0; i < places.size(); ++i) {
    const absl::Status restored = device.WriteAt(places[i], before[i]);
    status.Update(restored);
  }
  return status;
}

}  // namespace bramble::sdcard
