// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/disk/fat32.h"

#include <algorithm>
#include <ctime>
#include <set>

#include "base/status.h"
#include "sdcard-image/disk/bytes.h"
#include "sdcard-image/disk/fat_layout.h"
#include "sdcard-image/disk/fat_names.h"
#include "sdcard-image/disk/mbr.h"

namespace bramble::sdcard {
namespace {

constexpr uint32_t kEndOfChainFrom = 0x0ffffff8;
constexpr uint32_t kClusterMask = 0x0fffffff;
constexpr uint8_t kAttributeDirectory = 0x10;
constexpr uint8_t kAttributeArchive = 0x20;
constexpr uint8_t kAttributeLongName = 0x0f;
constexpr char kEntryFree = '\xe5';
constexpr uint8_t kLastLongEntry = 0x40;

std::string LabelOf(std::string_view raw) {
  return std::string(raw.substr(0, raw.find_last_not_of(' ') + 1));
}

std::vector<std::string> PathParts(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    if (slash != 0) {
      parts.emplace_back(path.substr(0, slash));
    }
    path = slash == std::string_view::npos ? "" : path.substr(slash + 1);
  }
  return parts;
}

std::string Joined(const std::vector<std::string>& parts, size_t count) {
  std::string path;
  for (size_t i = 0; i < count; ++i) {
    path += (i == 0 ? "" : "/") + parts[i];
  }
  return path;
}

}  // namespace

absl::Status FatVolume::ReadGeometry(std::string_view boot) {
  const auto wrong = [this](std::string_view what) {
    return absl::InvalidArgumentError(StrCat(device_->name(), ": no FAT32 file system: ", what));
  };
  if (GetLe16(boot, 510) != 0xaa55) {
    return wrong("its first sector does not end in 55 AA");
  }
  if (boot.substr(3, 4) == "NTFS" || boot.substr(3, 5) == "EXFAT") {
    return wrong("it is NTFS or exFAT");
  }
  const auto per_cluster = static_cast<unsigned char>(boot[13]);
  const uint32_t total = GetLe32(boot, 32);
  reserved_sectors_ = GetLe16(boot, 14);
  fats_ = static_cast<unsigned char>(boot[16]);
  fat_sectors_ = GetLe32(boot, 36);
  root_cluster_ = GetLe32(boot, 44);
  info_sector_ = GetLe16(boot, 48);
  if (GetLe16(boot, 22) != 0 || GetLe16(boot, 17) != 0) {
    return wrong("it is FAT12 or FAT16");
  }
  if (GetLe16(boot, 11) != kSectorBytes || per_cluster == 0 ||
      (per_cluster & (per_cluster - 1)) != 0 || fats_ == 0 || fats_ > 2 || fat_sectors_ == 0 ||
      reserved_sectors_ == 0) {
    return wrong("its geometry makes no sense");
  }
  const uint64_t system = reserved_sectors_ + uint64_t{fats_} * fat_sectors_;
  if (total == 0 || uint64_t{total} * kSectorBytes > device_->size() || system >= total) {
    return wrong(StrCat("it says that it has ", total, " sectors, the partition has ",
                        device_->size() / kSectorBytes));
  }
  cluster_bytes_ = static_cast<uint32_t>(per_cluster * kSectorBytes);
  clusters_ = static_cast<uint32_t>((total - system) / per_cluster);
  if (clusters_ < kMinFat32Clusters ||
      (clusters_ + 2) * uint64_t{4} > fat_sectors_ * kSectorBytes || root_cluster_ < 2 ||
      root_cluster_ >= clusters_ + 2) {
    return wrong(StrCat(clusters_, " clusters are not what FAT32 has"));
  }
  volume_id_ = GetLe32(boot, 67);
  label_ = LabelOf(boot.substr(71, 11));
  return absl::OkStatus();
}

absl::Status FatVolume::LoadTable() {
  BRAMBLE_ASSIGN_OR_RETURN(
      const std::string raw,
      device_->Read(uint64_t{reserved_sectors_} * kSectorBytes, fat_sectors_ * kSectorBytes));
  table_.resize(clusters_ + 2);
  for (uint32_t i = 0; i < table_.size(); ++i) {
    table_[i] = GetLe32(raw, size_t{i} * 4);
  }
  dirty_.assign(fat_sectors_, false);
  return absl::OkStatus();
}

absl::StatusOr<FatVolume> FatVolume::Open(ByteDevice& device) {
  FatVolume volume(device);
  BRAMBLE_ASSIGN_OR_RETURN(const std::string boot, device.Read(0, kSectorBytes));
  BRAMBLE_RETURN_IF_ERROR(volume.ReadGeometry(boot));
  BRAMBLE_RETURN_IF_ERROR(volume.LoadTable());
  return volume;
}

uint64_t FatVolume::free_bytes() const {
  return static_cast<uint64_t>(
             std::count_if(table_.begin() + 2, table_.end(),
                           [](uint32_t entry) { return (entry & kClusterMask) == 0; })) *
         cluster_bytes_;
}

uint64_t FatVolume::ClusterOffset(uint32_t cluster) const {
  return (reserved_sectors_ + uint64_t{fats_} * fat_sectors_) * kSectorBytes +
         uint64_t{cluster - 2} * cluster_bytes_;
}

absl::StatusOr<std::vector<uint32_t>> FatVolume::Chain(uint32_t first) const {
  std::vector<uint32_t> chain;
  for (uint32_t at = first; at < kEndOfChainFrom; at = table_[at] & kClusterMask) {
    if (at < 2 || at >= table_.size() || chain.size() > clusters_) {
      return absl::DataLossError(
          StrCat(device_->name(), ": damaged FAT: a chain of clusters leads nowhere"));
    }
    chain.push_back(at);
  }
  return chain;
}

absl::StatusOr<std::string> FatVolume::ReadChain(uint32_t first, size_t max_bytes) const {
  BRAMBLE_ASSIGN_OR_RETURN(const std::vector<uint32_t> chain, Chain(first));
  if (chain.size() * uint64_t{cluster_bytes_} > max_bytes + cluster_bytes_) {
    return absl::ResourceExhaustedError(
        StrCat(device_->name(), ": longer than ", max_bytes, " bytes"));
  }
  std::string bytes(chain.size() * cluster_bytes_, '\0');
  for (size_t i = 0; i < chain.size();) {
    size_t run = 1;
    while (i + run < chain.size() && chain[i + run] == chain[i] + run) {
      ++run;
    }
    BRAMBLE_RETURN_IF_ERROR(device_->ReadAt(
        ClusterOffset(chain[i]), bytes.data() + i * cluster_bytes_, run * cluster_bytes_));
    i += run;
  }
  return bytes;
}

absl::StatusOr<std::vector<FatVolume::Place>> FatVolume::ReadDirectory(uint32_t first) const {
  BRAMBLE_ASSIGN_OR_RETURN(const std::vector<uint32_t> chain, Chain(first));
  BRAMBLE_ASSIGN_OR_RETURN(const std::string raw,
                           ReadChain(first, kMaxFatEntries * kFatEntryBytes));
  std::vector<Place> places;
  std::vector<uint16_t> long_name;
  uint8_t checksum = 0;
  size_t long_entries = 0;
  for (size_t at = 0; at + kFatEntryBytes <= raw.size() && raw[at] != '\0'; at += kFatEntryBytes) {
    const std::string_view entry = std::string_view(raw).substr(at, kFatEntryBytes);
    const auto attributes = static_cast<unsigned char>(entry[11]);
    if (entry[0] == kEntryFree) {
      long_name.clear();
      long_entries = 0;
      continue;
    }
    if ((attributes & 0x3f) == kAttributeLongName) {
      if ((static_cast<unsigned char>(entry[0]) & kLastLongEntry) != 0) {
        long_name.clear();
        long_entries = 0;
        checksum = static_cast<unsigned char>(entry[13]);
      }
      std::vector<uint16_t> part = LongNamePart(entry);
      part.insert(part.end(), long_name.begin(), long_name.end());
      long_name = std::move(part);
      ++long_entries;
      continue;
    }
    if ((attributes & kFatVolumeLabel) == 0) {
      Place place;
      const auto offset_of = [&](size_t raw_at) {
        return ClusterOffset(chain[raw_at / cluster_bytes_]) + raw_at % cluster_bytes_;
      };
      const bool named = !long_name.empty() && checksum == ShortNameChecksum(entry.substr(0, 11));
      place.offset = offset_of(at);
      place.entries = named ? long_entries + 1 : 1;
      place.first = at - (place.entries - 1) * kFatEntryBytes;  // in the directory's own bytes
      place.directory = first;
      place.entry.name =
          named ? Utf16ToUtf8(long_name)
                : ShortNameText(entry.substr(0, 11), static_cast<unsigned char>(entry[12]));
      place.entry.is_directory = (attributes & kAttributeDirectory) != 0;
      place.entry.size = GetLe32(entry, 28);
      place.entry.first_cluster = (uint32_t{GetLe16(entry, 20)} << 16) | GetLe16(entry, 26);
      if (place.entry.name != "." && place.entry.name != "..") {
        places.push_back(std::move(place));
      }
    }
    long_name.clear();
    long_entries = 0;
  }
  return places;
}

absl::StatusOr<FatVolume::Place> FatVolume::Find(std::string_view path) const {
  const std::vector<std::string> parts = PathParts(path);
  uint32_t directory = root_cluster_;
  Place found;
  found.entry = {.name = "", .is_directory = true, .first_cluster = root_cluster_};
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!found.entry.is_directory || i > kMaxFatDepth) {
      return absl::NotFoundError(
          StrCat(device_->name(), ": ", Joined(parts, i), " is no directory"));
    }
    BRAMBLE_ASSIGN_OR_RETURN(const std::vector<Place> places, ReadDirectory(directory));
    const auto match = std::find_if(places.begin(), places.end(), [&](const Place& place) {
      return FatNamesEqual(place.entry.name, parts[i]);
    });
    if (match == places.end()) {
      return absl::NotFoundError(
          StrCat(device_->name(), ": no file ", path, " on the boot partition"));
    }
    found = *match;
    directory = found.entry.first_cluster;
  }
  return found;
}

absl::StatusOr<std::vector<FatEntry>> FatVolume::List(std::string_view directory) {
  BRAMBLE_ASSIGN_OR_RETURN(const Place place, Find(directory));
  if (!place.entry.is_directory) {
    return absl::InvalidArgumentError(StrCat(device_->name(), ": ", directory, " is a file"));
  }
  BRAMBLE_ASSIGN_OR_RETURN(const std::vector<Place> places,
                           ReadDirectory(place.entry.first_cluster));
  std::vector<FatEntry> entries;
  for (const Place& each : places) {
    entries.push_back(each.entry);
  }
  return entries;
}

absl::StatusOr<FatEntry> FatVolume::Stat(std::string_view path) {
  BRAMBLE_ASSIGN_OR_RETURN(const Place place, Find(path));
  return place.entry;
}

absl::StatusOr<std::string> FatVolume::ReadFile(std::string_view path, size_t max_bytes) {
  BRAMBLE_ASSIGN_OR_RETURN(const Place place, Find(path));
  if (place.entry.is_directory) {
    return absl::InvalidArgumentError(StrCat(device_->name(), ": ", path, " is a directory"));
  }
  if (place.entry.size > max_bytes) {
    return absl::ResourceExhaustedError(
        StrCat(device_->name(), ": ", path, " is longer than ", max_bytes, " bytes"));
  }
  if (place.entry.size == 0) {
    return std::string();
  }
  BRAMBLE_ASSIGN_OR_RETURN(std::string bytes, ReadChain(place.entry.first_cluster, max_bytes));
  if (bytes.size() < place.entry.size) {
    return absl::DataLossError(StrCat(device_->name(), ": ", path, " is cut short"));
  }
  bytes.resize(place.entry.size);
  return bytes;
}

absl::StatusOr<std::vector<uint32_t>> FatVolume::Allocate(size_t clusters) {
  std::vector<uint32_t> chain;
  const uint32_t end = clusters_ + 2;
  uint32_t at = next_free_;
  for (uint32_t seen = 0; seen < clusters_ && chain.size() < clusters; ++seen) {
    if (at >= end) {
      at = 2;
    }
    if ((table_[at] & kClusterMask) == 0) {
      chain.push_back(at);
    }
    ++at;
  }
  if (chain.size() < clusters) {
    return absl::ResourceExhaustedError(
        StrCat(device_->name(), ": the boot partition is full: ", clusters * cluster_bytes_,
               " bytes wanted, ", free_bytes(), " free"));
  }
  for (size_t i = 0; i < chain.size(); ++i) {
    table_[chain[i]] = i + 1 < chain.size() ? chain[i + 1] : kFatEndOfChain;
    dirty_[chain[i] * 4 / kSectorBytes] = true;
  }
  next_free_ = at;
  return chain;
}

void FatVolume::Free(const std::vector<uint32_t>& chain) {
  for (const uint32_t cluster : chain) {
    table_[cluster] = 0;
    dirty_[cluster * 4 / kSectorBytes] = true;
  }
}

absl::Status FatVolume::StoreTable() {
  for (uint32_t sector = 0; sector < fat_sectors_;) {
    uint32_t run = 0;
    std::string raw;
    while (sector + run < fat_sectors_ && dirty_[sector + run]) {
      for (size_t i = 0; i < kSectorBytes / 4; ++i) {
        const size_t entry = (sector + run) * (kSectorBytes / 4) + i;
        raw.resize(raw.size() + 4);
        PutLe32(raw, raw.size() - 4, entry < table_.size() ? table_[entry] : 0);
      }
      ++run;
    }
    for (uint32_t fat = 0; run > 0 && fat < fats_; ++fat) {
      BRAMBLE_RETURN_IF_ERROR(device_->WriteAt(
          uint64_t{reserved_sectors_ + fat * fat_sectors_ + sector} * kSectorBytes, raw));
    }
    sector += run + 1;
  }
  dirty_.assign(fat_sectors_, false);
  if (info_sector_ != 0 && info_sector_ < reserved_sectors_) {
    const auto free = static_cast<uint32_t>(free_bytes() / cluster_bytes_);
    return device_->WriteAt(uint64_t{info_sector_} * kSectorBytes, FatInfoSector(free, next_free_));
  }
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> FatVolume::WriteClusters(std::string_view bytes) {
  if (bytes.empty()) {
    return 0;
  }
  BRAMBLE_ASSIGN_OR_RETURN(const std::vector<uint32_t> chain,
                           Allocate((bytes.size() + cluster_bytes_ - 1) / cluster_bytes_));
  for (size_t i = 0; i < chain.size();) {
    size_t run = 1;
    while (i + run < chain.size() && chain[i + run] == chain[i] + run) {
      ++run;
    }
    std::string piece(bytes.substr(i * cluster_bytes_, run * cluster_bytes_));
    piece.resize(run * cluster_bytes_, '\0');
    if (absl::Status put = device_->WriteAt(ClusterOffset(chain[i]), piece); !put.ok()) {
      Free(chain);
      return put;
    }
    i += run;
  }
  BRAMBLE_RETURN_IF_ERROR(StoreTable());
  return chain.front();
}

void FatVolume::PutTime(std::string& entry) const {
  const auto seconds = static_cast<time_t>(std::max<int64_t>(time_s_, 315532800));
  struct tm parts = {};
  ::gmtime_r(&seconds, &parts);
  const auto date = static_cast<uint16_t>(((parts.tm_year - 80) << 9) | ((parts.tm_mon + 1) << 5) |
                                          parts.tm_mday);
  const auto time =
      static_cast<uint16_t>((parts.tm_hour << 11) | (parts.tm_min << 5) | (parts.tm_sec / 2));
  PutLe16(entry, 14, time);
  PutLe16(entry, 16, date);
  PutLe16(entry, 18, date);
  PutLe16(entry, 22, time);
  PutLe16(entry, 24, date);
}

absl::Status FatVolume::AddEntry(uint32_t directory, std::string_view name, bool is_directory,
                                 uint32_t first_cluster, uint32_t size) {
  BRAMBLE_RETURN_IF_ERROR(CheckFatName(name));
  // Every short name that is there, as it is on the disk.
  BRAMBLE_ASSIGN_OR_RETURN(const std::string raw,
                           ReadChain(directory, kMaxFatEntries * kFatEntryBytes));
  std::set<std::string> taken;
  for (size_t at = 0; at + kFatEntryBytes <= raw.size() && raw[at] != '\0'; at += kFatEntryBytes) {
    if (raw[at] != kEntryFree && static_cast<unsigned char>(raw[at + 11]) != kAttributeLongName) {
      taken.insert(raw.substr(at, 11));
    }
  }
  const std::string eleven = ShortNameFor(name, taken);
  std::string entries = IsShortName(name) ? "" : LongNameEntries(name, eleven);
  std::string entry(kFatEntryBytes, '\0');
  entry.replace(0, 11, eleven);
  entry[11] = static_cast<char>(is_directory ? kAttributeDirectory : kAttributeArchive);
  PutTime(entry);
  PutLe16(entry, 20, static_cast<uint16_t>(first_cluster >> 16));
  PutLe16(entry, 26, static_cast<uint16_t>(first_cluster));
  PutLe32(entry, 28, size);
  return PutIntoDirectory(directory, entries + entry);
}

absl::Status FatVolume::PutIntoDirectory(uint32_t directory, std::string_view raw) {
  BRAMBLE_ASSIGN_OR_RETURN(std::vector<uint32_t> chain, Chain(directory));
  BRAMBLE_ASSIGN_OR_RETURN(std::string bytes,
                           ReadChain(directory, kMaxFatEntries * kFatEntryBytes));
  const size_t wanted = raw.size() / kFatEntryBytes;
  size_t run = 0;
  size_t end = 0;  // of the run of free entries that is long enough
  for (size_t at = 0; at < bytes.size() && end == 0; at += kFatEntryBytes) {
    run = bytes[at] == '\0' || bytes[at] == kEntryFree ? run + 1 : 0;
    end = run == wanted ? at + kFatEntryBytes : 0;
  }
  if (end == 0) {
    BRAMBLE_ASSIGN_OR_RETURN(const uint32_t added,
                             WriteClusters(std::string(cluster_bytes_, '\0')));
    table_[chain.back()] = added;
    dirty_[chain.back() * 4 / kSectorBytes] = true;
    BRAMBLE_RETURN_IF_ERROR(StoreTable());
    return PutIntoDirectory(directory, raw);
  }
  const size_t begin = end - raw.size();
  // An entry of 32 bytes never crosses a cluster.
  for (size_t i = 0; i < raw.size(); i += kFatEntryBytes) {
    const size_t at = begin + i;
    BRAMBLE_RETURN_IF_ERROR(
        device_->WriteAt(ClusterOffset(chain[at / cluster_bytes_]) + at % cluster_bytes_,
                         raw.substr(i, kFatEntryBytes)));
  }
  return absl::OkStatus();
}

absl::Status FatVolume::ReplaceEntry(const Place& place, uint32_t first_cluster, uint32_t size) {
  BRAMBLE_ASSIGN_OR_RETURN(std::string entry, device_->Read(place.offset, kFatEntryBytes));
  PutTime(entry);
  PutLe16(entry, 20, static_cast<uint16_t>(first_cluster >> 16));
  PutLe16(entry, 26, static_cast<uint16_t>(first_cluster));
  PutLe32(entry, 28, size);
  return device_->WriteAt(place.offset, entry);
}

absl::StatusOr<uint32_t> FatVolume::MakeDirectories(std::string_view path) {
  const std::vector<std::string> parts = PathParts(path);
  if (parts.size() > kMaxFatDepth) {
    return absl::InvalidArgumentError(StrCat(path, ": more than ", kMaxFatDepth, " directories"));
  }
  uint32_t parent = root_cluster_;
  for (size_t i = 0; i < parts.size(); ++i) {
    const absl::StatusOr<Place> there = Find(Joined(parts, i + 1));
    if (there.ok()) {
      if (!there->entry.is_directory) {
        return absl::AlreadyExistsError(
            StrCat(device_->name(), ": ", Joined(parts, i + 1), " is a file"));
      }
      parent = there->entry.first_cluster;
      continue;
    }
    BRAMBLE_ASSIGN_OR_RETURN(const uint32_t made, WriteClusters(std::string(cluster_bytes_, '\0')));
    const uint32_t above = parent == root_cluster_ ? 0 : parent;
    std::string dots;
    for (const auto& [name, cluster] : {std::pair{".", made}, std::pair{"..", above}}) {
      std::string entry(kFatEntryBytes, '\0');
      entry.replace(0, 11,
                    std::string(name) + std::string(11 - std::string_view(name).size(), ' '));
      entry[11] = static_cast<char>(kAttributeDirectory);
      PutTime(entry);
      PutLe16(entry, 20, static_cast<uint16_t>(cluster >> 16));
      PutLe16(entry, 26, static_cast<uint16_t>(cluster));
      dots += entry;
    }
    BRAMBLE_RETURN_IF_ERROR(device_->WriteAt(ClusterOffset(made), dots));
    BRAMBLE_RETURN_IF_ERROR(AddEntry(parent, parts[i], true, made, 0));
    parent = made;
  }
  return parent;
}

absl::Status FatVolume::WriteFile(std::string_view path, std::string_view bytes) {
  if (bytes.size() > kMaxFatFileBytes) {
    return absl::ResourceExhaustedError(StrCat(path, ": longer than ", kMaxFatFileBytes, " bytes"));
  }
  const size_t slash = path.rfind('/');
  const std::string_view parent = slash == std::string_view::npos ? "" : path.substr(0, slash);
  const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  BRAMBLE_RETURN_IF_ERROR(CheckFatName(name));
  BRAMBLE_ASSIGN_OR_RETURN(const uint32_t directory, MakeDirectories(parent));
  const absl::StatusOr<Place> there = Find(path);
  if (there.ok() && there->entry.is_directory) {
    return absl::InvalidArgumentError(StrCat(device_->name(), ": ", path, " is a directory"));
  }
  std::vector<uint32_t> old;
  if (there.ok() && there->entry.first_cluster != 0) {
    BRAMBLE_ASSIGN_OR_RETURN(old, Chain(there->entry.first_cluster));
  }
  BRAMBLE_ASSIGN_OR_RETURN(const uint32_t first, WriteClusters(bytes));
  const auto size = static_cast<uint32_t>(bytes.size());
  if (!there.ok()) {
    return AddEntry(directory, name, false, first, size);
  }
  BRAMBLE_RETURN_IF_ERROR(ReplaceEntry(*there, first, size));
  // What it held before may have been a secret.
  const std::string zeros(cluster_bytes_, '\0');
  for (const uint32_t cluster : old) {
    BRAMBLE_RETURN_IF_ERROR(device_->WriteAt(ClusterOffset(cluster), zeros));
  }
  Free(old);
  return StoreTable();
}

absl::Status FatVolume::WipeFile(std::string_view path) {
  BRAMBLE_RETURN_IF_ERROR(Find(path).status());
  BRAMBLE_RETURN_IF_ERROR(WriteFile(path, ""));
  BRAMBLE_ASSIGN_OR_RETURN(const Place place, Find(path));
  BRAMBLE_ASSIGN_OR_RETURN(const std::vector<uint32_t> chain, Chain(place.directory));
  for (size_t i = 0; i < place.entries; ++i) {
    const size_t at = place.first + i * kFatEntryBytes;
    BRAMBLE_RETURN_IF_ERROR(
        device_->WriteAt(ClusterOffset(chain[at / cluster_bytes_]) + at % cluster_bytes_,
                         std::string(1, kEntryFree)));
  }
  return absl::OkStatus();
}

ExtentSet FatVolume::UsedExtents() const {
  ExtentSet used;
  used.Add({0, ClusterOffset(2)});
  for (uint32_t cluster = 2; cluster < table_.size(); ++cluster) {
    if ((table_[cluster] & kClusterMask) != 0) {
      used.Add({ClusterOffset(cluster), cluster_bytes_});
    }
  }
  return used;
}

}  // namespace bramble::sdcard
