// SPDX-License-Identifier: Apache-2.0
#include "node/journal/record.h"

#include <charconv>

#include "base/status.h"
#include "base/strings.h"

namespace bramble::node {
namespace {

constexpr std::string_view kMagic = "bramble-record 1 ";
constexpr size_t kMaxHeaderBytes = 96;

constexpr std::array<uint32_t, 256> MakeCrcTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) {
      value = (value >> 1) ^ ((value & 1) != 0 ? 0xedb88320u : 0u);
    }
    table[i] = value;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kCrcTable = MakeCrcTable();

// The number at the start of `text`, which is shortened by it and by `end` after it.
std::optional<uint64_t> TakeNumber(std::string_view& text, char end) {
  uint64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const size_t used = stop - text.data();
  if (error != std::errc() || used == text.size() || *stop != end) {
    return std::nullopt;
  }
  text.remove_prefix(used + 1);
  return number;
}

}  // namespace

uint32_t Crc32(std::string_view bytes) {
  uint32_t crc = 0xffffffffu;
  for (const char byte : bytes) {
    crc = (crc >> 8) ^ kCrcTable[(crc ^ static_cast<unsigned char>(byte)) & 0xff];
  }
  return ~crc;
}

absl::StatusOr<Record::Slot> Record::LoadSlot(const std::filesystem::path& path) {
  BRAMBLE_ASSIGN_OR_RETURN(const std::string bytes,
                           disk_.Read(path, kMaxRecordBytes + kMaxHeaderBytes));
  std::string_view rest = bytes;
  const auto torn = [&path] {
    return absl::DataLossError(StrCat(path.string(), ": torn, or not a record"));
  };
  if (rest.substr(0, kMagic.size()) != kMagic) {
    return torn();
  }
  rest.remove_prefix(kMagic.size());
  const std::optional<uint64_t> sequence = TakeNumber(rest, ' ');
  const std::optional<uint64_t> length = TakeNumber(rest, ' ');
  const std::optional<uint64_t> crc = TakeNumber(rest, '\n');
  if (!sequence.has_value() || !length.has_value() || !crc.has_value() || rest.size() != *length ||
      Crc32(StrCat(*sequence, " ", rest)) != *crc) {
    return torn();
  }
  return Slot{.sequence = *sequence, .text = std::string(rest)};
}

absl::StatusOr<std::optional<std::string>> Record::Load() {
  loaded_ = true;
  sequence_ = 0;
  newest_ = 1;
  text_.reset();
  absl::Status bad;
  for (int i = 0; i < 2; ++i) {
    absl::StatusOr<Slot> slot = LoadSlot(slots_[i]);
    if (!slot.ok()) {
      if (slot.status().code() != absl::StatusCode::kNotFound) {
        bad = slot.status();
      }
      continue;
    }
    if (slot->sequence > sequence_) {
      sequence_ = slot->sequence;
      newest_ = i;
      text_ = std::move(slot->text);
    }
  }
  if (!text_.has_value() && !bad.ok()) {
    return bad;
  }
  return text_;
}

absl::Status Record::Save(std::string_view text) {
  if (text.size() > kMaxRecordBytes) {
    return absl::ResourceExhaustedError(
        StrCat(slots_[0].string(), ": ", text.size(), " bytes; the limit is ", kMaxRecordBytes));
  }
  if (!loaded_) {
    (void)Load();  // what is unreadable is replaced
  }
  if (text_ == text) {
    return absl::OkStatus();
  }
  const int older = 1 - newest_;
  const uint64_t sequence = sequence_ + 1;
  const std::string bytes = StrCat(kMagic, sequence, " ", text.size(), " ",
                                   Crc32(StrCat(sequence, " ", text)), "\n", text);
  BRAMBLE_RETURN_IF_ERROR(disk_.Write(slots_[older], bytes));
  BRAMBLE_RETURN_IF_ERROR(disk_.SyncFile(slots_[older]));
  if (sequence <= 2) {
    BRAMBLE_RETURN_IF_ERROR(disk_.SyncDirectory(slots_[older].parent_path()));
  }
  sequence_ = sequence;
  newest_ = older;
  text_ = std::string(text);
  return absl::OkStatus();
}

}  // namespace bramble::node
