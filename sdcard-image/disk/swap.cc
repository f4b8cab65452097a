// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/disk/swap.h"

#include "base/status.h"
#include "sdcard-image/disk/bytes.h"

namespace bramble::sdcard {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr size_t kVersionAt = 1024;
constexpr size_t kUuidAt = 1036;
constexpr size_t kLabelAt = 1052;
constexpr size_t kLabelBytes = 16;
constexpr std::string_view kMagic = "SWAPSPACE2";

}  // namespace

absl::Status MakeSwap(ByteDevice& partition, std::string_view uuid, std::string_view label) {
  const uint64_t pages = partition.size() / kPageBytes;
  if (pages < 10 || pages > UINT32_MAX || uuid.size() != 16 || label.size() >= kLabelBytes) {
    return absl::InvalidArgumentError(
        StrCat(partition.name(), ": ", partition.size(), " bytes make no swap area"));
  }
  std::string page(kPageBytes, '\0');
  PutLe32(page, kVersionAt, 1);
  PutLe32(page, kVersionAt + 4, static_cast<uint32_t>(pages - 1));
  page.replace(kUuidAt, uuid.size(), uuid);
  page.replace(kLabelAt, label.size(), label);
  page.replace(kPageBytes - kMagic.size(), kMagic.size(), kMagic);
  return partition.WriteAt(0, page);
}

absl::StatusOr<SwapFacts> ReadSwapFacts(ByteDevice& partition) {
  BRAMBLE_ASSIGN_OR_RETURN(const std::string page, partition.Read(0, kPageBytes));
  if (page.substr(kPageBytes - kMagic.size()) != kMagic) {
    return absl::InvalidArgumentError(StrCat(partition.name(), ": no swap area"));
  }
  SwapFacts facts;
  facts.bytes = (uint64_t{GetLe32(page, kVersionAt + 4)} + 1) * kPageBytes;
  facts.label = page.substr(kLabelAt, kLabelBytes);
  facts.label.resize(std::min(facts.label.find('\0'), facts.label.size()));
  return facts;
}

}  // namespace bramble::sdcard
