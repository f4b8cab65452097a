// SPDX-License-Identifier: Apache-2.0
// FatVolume::Check: what fsck.vfat -n would find first.
#include <map>

#include "base/status.h"
#include "sdcard-image/disk/fat32.h"
#include "sdcard-image/disk/mbr.h"

namespace bramble::sdcard {

std::vector<std::string> FatVolume::Check() {
  std::vector<std::string> findings;
  const auto read_fat = [this](uint32_t fat) {
    return device_->Read(uint64_t{reserved_sectors_ + fat * fat_sectors_} * kSectorBytes,
                         fat_sectors_ * kSectorBytes);
  };
  const absl::StatusOr<std::string> first = read_fat(0);
  if (!first.ok()) {
    return {std::string(MessageOf(first.status()))};
  }
  if (fats_ == 2) {
    const absl::StatusOr<std::string> second = read_fat(1);
    if (!second.ok() || *first != *second) {
      findings.emplace_back("the two file allocation tables differ");
    }
  }
  std::vector<std::string> owner(table_.size());
  std::vector<std::pair<std::string, FatEntry>> waiting = {
      {"", {.name = "", .is_directory = true, .first_cluster = root_cluster_}}};
  size_t seen = 0;
  while (!waiting.empty() && ++seen <= kMaxFatEntries) {
    const auto [path, entry] = waiting.back();
    waiting.pop_back();
    if (entry.first_cluster == 0) {
      if (entry.size != 0) {
        findings.push_back(StrCat(path, ": has a size and no clusters"));
      }
      continue;
    }
    const absl::StatusOr<std::vector<uint32_t>> chain = Chain(entry.first_cluster);
    if (!chain.ok()) {
      findings.push_back(StrCat(path, ": its chain of clusters leads nowhere"));
      continue;
    }
    for (const uint32_t cluster : *chain) {
      if (!owner[cluster].empty()) {
        findings.push_back(StrCat(path, " and ", owner[cluster], " share cluster ", cluster));
        break;
      }
      owner[cluster] = path.empty() ? "/" : path;
    }
    const uint64_t needed = (uint64_t{entry.size} + cluster_bytes_ - 1) / cluster_bytes_;
    if (!entry.is_directory && chain->size() != needed) {
      findings.push_back(StrCat(path, ": ", entry.size, " bytes in ", chain->size(), " clusters"));
    }
    const absl::StatusOr<std::vector<Place>> places =
        entry.is_directory ? ReadDirectory(entry.first_cluster) : std::vector<Place>();
    if (!places.ok()) {
      findings.push_back(StrCat(path, ": ", MessageOf(places.status())));
      continue;
    }
    for (const Place& place : *places) {
      waiting.emplace_back(path.empty() ? place.entry.name : path + "/" + place.entry.name,
                           place.entry);
    }
  }
  return findings;
}

}  // namespace bramble::sdcard
