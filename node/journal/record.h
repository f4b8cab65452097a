// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/disk.h"

#include "absl/status/statusor.h"

namespace bramble::node {

inline constexpr size_t kMaxRecordBytes = 16 << 20;

// A piece of text that survives a power cut at any moment: two files, written in turn, each with a
// sequence number, a length and a checksum.  A write touches the older one only, so what was read
// last time can be read again until the new text is durable.
//
// One line before the text: "bramble-record 1 SEQUENCE LENGTH CRC32\n".  Blocking.
class Record {
 public:
  Record(Disk& disk, std::array<std::filesystem::path, 2> slots)
      : disk_(disk), slots_(std::move(slots)) {}

  // The newest text that is whole; nullopt when none was ever written.  kDataLoss: there was one
  // and neither file is whole.  A newer file that is torn is a write that never ended: no error.
  absl::StatusOr<std::optional<std::string>> Load();

  // Returns when `text` is durable.  Nothing is written when it is what was loaded or saved last.
  // After an error the previous text is still what Load gives.
  absl::Status Save(std::string_view text);

 private:
  struct Slot {
    uint64_t sequence = 0;
    std::string text;
  };
  absl::StatusOr<Slot> LoadSlot(const std::filesystem::path& path);

  Disk& disk_;
  const std::array<std::filesystem::path, 2> slots_;
  bool loaded_ = false;
  uint64_t sequence_ = 0;  // of the newest whole slot
  int newest_ = 1;
  std::optional<std::string> text_;
};

// CRC-32 as of IEEE 802.3, the one of gzip and zip.
uint32_t Crc32(std::string_view bytes);

}  // namespace bramble::node
