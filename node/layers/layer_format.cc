// SPDX-License-Identifier: Apache-2.0
#include "node/layers/layer_format.h"

#include "base/status.h"

namespace bramble::node {
namespace {

constexpr size_t kHeaderBytes = 5;
constexpr size_t kDigestBytes = 32;
constexpr char kEntryType = 'E';
constexpr char kDataType = 'D';
constexpr char kEndType = 'Z';

template <typename Number>
void PutNumber(std::string& to, Number value) {
  auto left = static_cast<uint64_t>(value);
  for (size_t i = 0; i < sizeof(Number); ++i, left >>= 8) {
    to += static_cast<char>(left & 0xff);
  }
}

void PutText(std::string& to, std::string_view text) {
  PutNumber(to, static_cast<uint32_t>(text.size()));
  to += text;
}

// Takes fields off a payload; what is missing is noticed once, at the end.
class Fields {
 public:
  explicit Fields(std::string_view payload) : left_(payload) {}

  template <typename Number>
  Number Take() {
    uint64_t value = 0;
    const std::string_view bytes = TakeBytes(sizeof(Number));
    for (size_t i = bytes.size(); i-- > 0;) {
      value = value << 8 | static_cast<unsigned char>(bytes[i]);
    }
    return static_cast<Number>(value);
  }
  std::string TakeText() { return std::string(TakeBytes(Take<uint32_t>())); }
  std::string_view Rest() { return TakeBytes(left_.size()); }
  bool Done() const { return good_ && left_.empty(); }

 private:
  std::string_view TakeBytes(size_t size) {
    if (size > left_.size()) {
      good_ = false;
      left_ = {};
      return {};
    }
    const std::string_view taken = left_.substr(0, size);
    left_.remove_prefix(size);
    return taken;
  }
  std::string_view left_;
  bool good_ = true;
};

bool IsGoodPath(std::string_view path) {
  if (path.size() > kMaxLayerPathBytes || path.find('\0') != std::string_view::npos) {
    return false;
  }
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == ".." || slash + 1 == path.size()) {
      return false;
    }
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  }
  return true;
}

absl::Status Bad(std::string_view what) {
  return absl::InvalidArgumentError(StrCat("layer stream: ", what));
}

std::string EncodeEntry(const LayerEntry& entry) {
  std::string payload;
  PutNumber(payload, static_cast<uint8_t>(entry.kind));
  PutNumber(payload, static_cast<uint8_t>(entry.opaque ? 1 : 0));
  PutNumber(payload, entry.mode);
  PutNumber(payload, entry.uid);
  PutNumber(payload, entry.gid);
  PutNumber(payload, entry.mtime_s);
  PutNumber(payload, entry.mtime_ns);
  PutNumber(payload, entry.size);
  PutText(payload, entry.path);
  PutText(payload, entry.target);
  PutNumber(payload, static_cast<uint32_t>(entry.attributes.size()));
  for (const LayerAttribute& attribute : entry.attributes) {
    PutText(payload, attribute.name);
    PutText(payload, attribute.value);
  }
  return payload;
}

absl::StatusOr<LayerEntry> DecodeEntry(std::string_view payload) {
  Fields fields(payload);
  LayerEntry entry;
  const auto kind = fields.Take<uint8_t>();
  entry.kind = static_cast<LayerKind>(kind);
  entry.opaque = fields.Take<uint8_t>() != 0;
  entry.mode = fields.Take<uint32_t>();
  entry.uid = fields.Take<uint32_t>();
  entry.gid = fields.Take<uint32_t>();
  entry.mtime_s = fields.Take<int64_t>();
  entry.mtime_ns = fields.Take<uint32_t>();
  entry.size = fields.Take<uint64_t>();
  entry.path = fields.TakeText();
  entry.target = fields.TakeText();
  const auto attributes = fields.Take<uint32_t>();
  if (attributes > kMaxLayerAttributes) {
    return Bad("an entry with too many attributes");
  }
  for (uint32_t i = 0; i < attributes; ++i) {
    LayerAttribute attribute;
    attribute.name = fields.TakeText();
    attribute.value = fields.TakeText();
    if (attribute.name.empty() || attribute.name.find('\0') != std::string::npos) {
      return Bad("an attribute without a name");
    }
    entry.attributes.push_back(std::move(attribute));
  }
  constexpr uint32_t kMaxMode = 07777;
  constexpr uint32_t kMaxId = 65535;
  constexpr uint32_t kMaxNanoseconds = 999'999'999;
  if (!fields.Done() || kind < static_cast<uint8_t>(LayerKind::kDirectory) ||
      kind > static_cast<uint8_t>(LayerKind::kWhiteout) || entry.mode > kMaxMode ||
      entry.uid > kMaxId || entry.gid > kMaxId || entry.mtime_ns > kMaxNanoseconds ||
      entry.size > INT64_MAX) {
    return Bad("an entry that is not one");
  }
  const bool root_is_directory = !entry.path.empty() || entry.kind == LayerKind::kDirectory;
  const bool good_target = entry.kind == LayerKind::kHardLink
                               ? !entry.target.empty() && IsGoodPath(entry.target)
                               : entry.target.find('\0') == std::string::npos &&
                                     entry.target.size() <= kMaxLayerPathBytes;
  if (!IsGoodPath(entry.path) || !root_is_directory || !good_target) {
    return Bad("an entry whose path is absolute, leads out, or is too long");
  }
  return entry;
}

}  // namespace

absl::Status LayerEncoder::Put(std::string_view bytes) {
  hash_.Update(bytes);
  return write_(bytes);
}

absl::Status LayerEncoder::Record(char type, std::string_view payload) {
  std::string header(1, type);
  PutNumber(header, static_cast<uint32_t>(payload.size()));
  BRAMBLE_RETURN_IF_ERROR(Put(header));
  return Put(payload);
}

absl::Status LayerEncoder::Begin() { return Put(kLayerMagic); }

absl::Status LayerEncoder::Entry(const LayerEntry& entry) {
  const std::string payload = EncodeEntry(entry);
  if (payload.size() > kMaxLayerRecordBytes || entry.path.size() > kMaxLayerPathBytes ||
      ++totals_.entries > kMaxLayerEntries) {
    return absl::ResourceExhaustedError(
        StrCat("layer: \"", entry.path.substr(0, 200), "\": beyond a limit (path ",
               kMaxLayerPathBytes, " bytes, attributes 1 MiB, ", kMaxLayerEntries, " files)"));
  }
  return Record(kEntryType, payload);
}

absl::Status LayerEncoder::Data(uint64_t offset, std::string_view bytes) {
  std::string payload;
  PutNumber(payload, offset);
  payload += bytes;
  totals_.bytes += bytes.size();
  return Record(kDataType, payload);
}

absl::StatusOr<LayerTotals> LayerEncoder::End() {
  const Sha256Digest digest = hash_.Finish();
  totals_.sha256 = digest.Hex();
  std::string record(1, kEndType);
  std::string payload;
  PutNumber(payload, totals_.entries);
  PutNumber(payload, totals_.bytes);
  payload += digest.view();
  PutNumber(record, static_cast<uint32_t>(payload.size()));
  BRAMBLE_RETURN_IF_ERROR(write_(StrCat(record, payload)));
  return totals_;
}

absl::Status LayerDecoder::Fill(char* to, size_t size) {
  for (size_t done = 0; done < size;) {
    BRAMBLE_ASSIGN_OR_RETURN(const size_t got, read_(to + done, size - done));
    if (got == 0) {
      return absl::DataLossError("layer stream: it ended before its end");
    }
    done += got;
  }
  return absl::OkStatus();
}

absl::Status LayerDecoder::Begin() {
  std::string magic(kLayerMagic.size(), '\0');
  BRAMBLE_RETURN_IF_ERROR(Fill(magic.data(), magic.size()));
  hash_.Update(magic);
  return magic == kLayerMagic ? absl::OkStatus() : Bad("not a layer, or of another version");
}

absl::StatusOr<LayerDecoder::Item> LayerDecoder::Next() {
  std::string header(kHeaderBytes, '\0');
  BRAMBLE_RETURN_IF_ERROR(Fill(header.data(), header.size()));
  Fields fields(std::string_view(header).substr(1));
  const auto size = fields.Take<uint32_t>();
  if (size > kMaxLayerRecordBytes) {
    return Bad("a record that is too long");
  }
  std::string payload(size, '\0');
  BRAMBLE_RETURN_IF_ERROR(Fill(payload.data(), payload.size()));
  if (header[0] == kEndType) {
    return DecodeEnd(payload, std::string(hash_.Finish().view()));
  }
  hash_.Update(header);
  hash_.Update(payload);
  if (header[0] == kEntryType) {
    if (++totals_.entries > kMaxLayerEntries) {
      return Bad("more files than a layer may have");
    }
    BRAMBLE_ASSIGN_OR_RETURN(LayerEntry entry, DecodeEntry(payload));
    return Item(std::move(entry));
  }
  if (header[0] != kDataType || payload.size() < sizeof(uint64_t)) {
    return Bad("a record of an unknown kind");
  }
  Fields data(payload);
  LayerData piece{.offset = data.Take<uint64_t>()};
  piece.bytes = std::string(data.Rest());
  if (piece.offset > static_cast<uint64_t>(INT64_MAX) - piece.bytes.size()) {
    return Bad("contents beyond the largest file");
  }
  totals_.bytes += piece.bytes.size();
  return Item(std::move(piece));
}

absl::StatusOr<LayerDecoder::Item> LayerDecoder::DecodeEnd(std::string_view payload,
                                                           const std::string& hash) {
  Fields fields(payload);
  const auto entries = fields.Take<uint64_t>();
  const auto bytes = fields.Take<uint64_t>();
  const std::string_view digest = fields.Rest();
  if (digest.size() != kDigestBytes || digest != hash || entries != totals_.entries ||
      bytes != totals_.bytes) {
    return absl::DataLossError("layer stream: what arrived has another SHA-256 than what was sent");
  }
  constexpr char kDigits[] = "0123456789abcdef";
  for (const char c : digest) {
    totals_.sha256 += kDigits[static_cast<unsigned char>(c) >> 4];
    totals_.sha256 += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return Item(totals_);
}

}  // namespace bramble::node
