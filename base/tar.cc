// SPDX-License-Identifier: Apache-2.0
#include "base/tar.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "base/strings.h"

#include "absl/strings/numbers.h"

namespace bramble {
namespace {

constexpr size_t kMaxExtraBytes = 64 * 1024;
constexpr uint64_t kMaxSize = uint64_t{1} << 50;

struct Header {
  char name[100];
  char mode[8];
  char uid[8];
  char gid[8];
  char size[12];
  char mtime[12];
  char checksum[8];
  char type;
  char link[100];
  char magic[6];
  char version[2];
  char user[32];
  char group[32];
  char major[8];
  char minor[8];
  char prefix[155];
  char rest[12];
};
static_assert(sizeof(Header) == kTarBlock, "a tar header is one block");

absl::Status NotTar(std::string_view what) {
  return absl::InvalidArgumentError(StrCat("not a tar archive: ", what));
}

uint32_t ChecksumOf(Header header) {
  std::memset(header.checksum, ' ', sizeof(header.checksum));
  unsigned char bytes[sizeof(Header)];
  std::memcpy(bytes, &header, sizeof(header));
  uint32_t sum = 0;
  for (const unsigned char byte : bytes) {
    sum += byte;
  }
  return sum;
}

// Octal digits and a zero byte, or where they do not suffice base-256: the highest bit of the
// first byte set, then the number, most significant byte first.
template <size_t kSize>
void PutNumber(char (&field)[kSize], uint64_t number) {
  if ((number >> (3 * (kSize - 1))) == 0) {
    for (size_t i = kSize - 1; i-- > 0; number >>= 3) {
      field[i] = static_cast<char>('0' + (number & 7));
    }
    field[kSize - 1] = '\0';
    return;
  }
  for (size_t i = kSize; i-- > 1; number >>= 8) {
    field[i] = static_cast<char>(number & 0xff);
  }
  field[0] = static_cast<char>(0x80);
}

template <size_t kSize>
absl::StatusOr<uint64_t> NumberOf(const char (&field)[kSize]) {
  uint64_t number = 0;
  if ((field[0] & 0x80) != 0) {
    if (static_cast<unsigned char>(field[0]) != 0x80) {
      return NotTar("a number that is negative or too large");
    }
    for (size_t i = 1; i < kSize; ++i) {
      if ((number >> 56) != 0) {
        return NotTar("a number that is too large");
      }
      number = number << 8 | static_cast<unsigned char>(field[i]);
    }
    return number;
  }
  size_t i = 0;
  while (i < kSize && field[i] == ' ') {
    ++i;
  }
  for (; i < kSize && field[i] != '\0' && field[i] != ' '; ++i) {
    if (field[i] < '0' || field[i] > '7') {
      return NotTar("a number is not octal");
    }
    number = number << 3 | static_cast<uint64_t>(field[i] - '0');
  }
  return number;
}

template <size_t kSize>
std::string TextOf(const char (&field)[kSize]) {
  return std::string(field, ::strnlen(field, kSize));
}

template <size_t kSize>
void PutText(char (&field)[kSize], std::string_view text) {
  std::memcpy(field, text.data(), std::min(text.size(), kSize));
}

char LetterOf(TarType type) {
  switch (type) {
    case TarType::kDirectory:
      return '5';
    case TarType::kSymlink:
      return '2';
    case TarType::kHardLink:
      return '1';
    case TarType::kFile:
    case TarType::kOther:
      break;
  }
  return '0';
}

// "27 path=…\n": the number counts itself.
std::string PaxRecord(std::string_view key, std::string_view value) {
  const size_t rest = key.size() + value.size() + 3;
  size_t length = rest + 1;
  while (rest + StrCat(length).size() != length) {
    length = rest + StrCat(length).size();
  }
  return StrCat(length, " ", key, "=", value, "\n");
}

// Splits at a '/' so that both parts have room; false: cannot be.
bool PutName(const std::string& name, Header& header) {
  if (name.size() <= sizeof(header.name)) {
    PutText(header.name, name);
    return true;
  }
  const size_t least = name.size() - sizeof(header.name) - 1;
  const size_t slash = name.find('/', least);
  if (slash == std::string::npos || slash > sizeof(header.prefix) || slash + 1 >= name.size() ||
      slash == 0) {
    PutText(header.name, name);
    return false;
  }
  PutText(header.prefix, std::string_view(name).substr(0, slash));
  PutText(header.name, std::string_view(name).substr(slash + 1));
  return true;
}

std::string Finished(Header& header) {
  PutText(header.magic, std::string_view("ustar\0", 6));
  PutText(header.version, "00");
  std::snprintf(header.checksum, sizeof(header.checksum), "%06o", ChecksumOf(header));
  header.checksum[7] = ' ';
  return std::string(reinterpret_cast<const char*>(&header), sizeof(header));
}

TarType TypeOf(char letter, std::string_view name) {
  switch (letter) {
    case '\0':
      return name.ends_with('/') ? TarType::kDirectory : TarType::kFile;
    case '0':
    case '7':
      return TarType::kFile;
    case '1':
      return TarType::kHardLink;
    case '2':
      return TarType::kSymlink;
    case '5':
      return TarType::kDirectory;
    default:
      return TarType::kOther;
  }
}

}  // namespace

std::string TarHeader(const TarEntry& entry) {
  Header header{};
  std::string records;
  if (!PutName(entry.name, header)) {
    records += PaxRecord("path", entry.name);
  }
  PutText(header.link, entry.link);
  if (entry.link.size() > sizeof(header.link)) {
    records += PaxRecord("linkpath", entry.link);
  }
  PutNumber(header.mode, entry.mode & 07777);
  PutNumber(header.uid, entry.uid);
  PutNumber(header.gid, entry.gid);
  PutNumber(header.size, entry.type == TarType::kFile ? entry.size : 0);
  PutNumber(header.mtime, static_cast<uint64_t>(std::max<int64_t>(entry.mtime_s, 0)));
  header.type = LetterOf(entry.type);
  const std::string own = Finished(header);
  if (records.empty()) {
    return own;
  }
  Header before{};
  PutText(before.name, "PaxHeaders/entry");
  PutNumber(before.mode, 0644);
  PutNumber(before.uid, 0);
  PutNumber(before.gid, 0);
  PutNumber(before.size, records.size());
  PutNumber(before.mtime, 0);
  before.type = 'x';
  return Finished(before) + records + TarPadding(records.size()) + own;
}

std::string TarPadding(uint64_t size) {
  return std::string((kTarBlock - size % kTarBlock) % kTarBlock, '\0');
}

std::string TarEnd() { return std::string(2 * kTarBlock, '\0'); }

absl::Status TarReader::Fill(char* out, size_t size) {
  BRAMBLE_ASSIGN_OR_RETURN(const size_t got, source_(out, size));
  return got == size ? absl::OkStatus()
                     : absl::InvalidArgumentError("the tar archive ends too early");
}

absl::Status TarReader::SkipRest() {
  char scratch[16 * 1024];
  uint64_t skip = std::exchange(left_, 0) + std::exchange(padding_, 0);
  while (skip > 0) {
    const auto piece = static_cast<size_t>(std::min<uint64_t>(skip, sizeof(scratch)));
    BRAMBLE_RETURN_IF_ERROR(Fill(scratch, piece));
    skip -= piece;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> TarReader::ReadText(uint64_t size) {
  if (size > kMaxExtraBytes) {
    return NotTar(StrCat("a name or record of more than ", kMaxExtraBytes, " bytes"));
  }
  std::string text(static_cast<size_t>(size), '\0');
  BRAMBLE_RETURN_IF_ERROR(Fill(text.data(), text.size()));
  padding_ = TarPadding(size).size();
  BRAMBLE_RETURN_IF_ERROR(SkipRest());
  return text;
}

absl::Status TarReader::ReadPax(const std::string& records, Extra& extra) {
  std::string_view rest = records;
  while (!rest.empty()) {
    const size_t space = rest.find(' ');
    uint64_t length = 0;
    if (space == std::string_view::npos ||
        !absl::SimpleAtoi(ToAbsl(rest.substr(0, space)), &length) || length > rest.size() ||
        length < space + 3 || rest[length - 1] != '\n') {
      return NotTar("a pax record is malformed");
    }
    const std::string_view record = rest.substr(space + 1, length - space - 2);
    rest.remove_prefix(length);
    const size_t equals = record.find('=');
    if (equals == std::string_view::npos) {
      return NotTar("a pax record is malformed");
    }
    const std::string_view key = record.substr(0, equals);
    const std::string_view value = record.substr(equals + 1);
    if (key == "path") {
      extra.name = value;
    } else if (key == "linkpath") {
      extra.link = value;
    } else if (key == "size" || key == "uid" || key == "gid") {
      uint64_t number = 0;
      if (!absl::SimpleAtoi(ToAbsl(value), &number)) {
        return NotTar(StrCat("the pax record ", key, " is no number"));
      }
      (key == "size" ? extra.size : key == "uid" ? extra.uid : extra.gid) = number;
    } else if (key.starts_with("GNU.sparse.")) {
      return absl::UnimplementedError(
          "the tar archive holds a sparse file in GNU's format: pack it without --sparse");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<TarEntry>> TarReader::Next() {
  BRAMBLE_RETURN_IF_ERROR(SkipRest());
  Extra extra;
  while (true) {
    Header header{};
    BRAMBLE_RETURN_IF_ERROR(Fill(reinterpret_cast<char*>(&header), sizeof(header)));
    static constexpr Header kZeros{};
    if (std::memcmp(&header, &kZeros, sizeof(header)) == 0) {
      return std::optional<TarEntry>();
    }
    BRAMBLE_ASSIGN_OR_RETURN(const uint64_t checksum, NumberOf(header.checksum));
    if (checksum != ChecksumOf(header)) {
      return NotTar("the checksum of a header is wrong");
    }
    BRAMBLE_ASSIGN_OR_RETURN(uint64_t size, NumberOf(header.size));
    if (header.type == 'x' || header.type == 'g' || header.type == 'L' || header.type == 'K') {
      BRAMBLE_ASSIGN_OR_RETURN(const std::string text, ReadText(size));
      if (header.type == 'x') {
        BRAMBLE_RETURN_IF_ERROR(ReadPax(text, extra));
      } else if (header.type != 'g') {
        (header.type == 'L' ? extra.name : extra.link) = text.c_str();  // up to its zero byte
      }
      continue;
    }
    if (header.type == 'S') {
      return absl::UnimplementedError(
          "the tar archive holds a sparse file in GNU's format: pack it without --sparse");
    }
    const bool posix = std::memcmp(header.magic, "ustar\0", 6) == 0;
    TarEntry entry;
    const std::string prefix = posix ? TextOf(header.prefix) : std::string();
    entry.name = !extra.name.empty() ? extra.name
                 : prefix.empty()    ? TextOf(header.name)
                                     : StrCat(prefix, "/", TextOf(header.name));
    entry.link = !extra.link.empty() ? extra.link : TextOf(header.link);
    entry.type = TypeOf(header.type, entry.name);
    BRAMBLE_ASSIGN_OR_RETURN(const uint64_t mode, NumberOf(header.mode));
    BRAMBLE_ASSIGN_OR_RETURN(const uint64_t uid, NumberOf(header.uid));
    BRAMBLE_ASSIGN_OR_RETURN(const uint64_t gid, NumberOf(header.gid));
    BRAMBLE_ASSIGN_OR_RETURN(const uint64_t mtime, NumberOf(header.mtime));
    entry.mode = static_cast<uint32_t>(mode & 07777);
    entry.uid = static_cast<uint32_t>(std::min<uint64_t>(extra.uid.value_or(uid), UINT32_MAX));
    entry.gid = static_cast<uint32_t>(std::min<uint64_t>(extra.gid.value_or(gid), UINT32_MAX));
    entry.mtime_s = static_cast<int64_t>(std::min<uint64_t>(mtime, INT64_MAX));
    size = extra.size.value_or(size);
    if (size > kMaxSize) {
      return NotTar("an entry that is too large");
    }
    // Only what bears data has it, whatever else its header says.
    const bool has_data =
        entry.type == TarType::kFile ||
        (entry.type == TarType::kOther && (header.type < '3' || header.type > '6'));
    left_ = has_data ? size : 0;
    padding_ = TarPadding(left_).size();
    entry.size = entry.type == TarType::kFile ? size : 0;
    return std::optional<TarEntry>(std::move(entry));
  }
}

absl::StatusOr<size_t> TarReader::Read(char* out, size_t size) {
  const auto want = static_cast<size_t>(std::min<uint64_t>(size, left_));
  if (want > 0) {
    BRAMBLE_RETURN_IF_ERROR(Fill(out, want));
    left_ -= want;
  }
  return want;
}

}  // namespace bramble
