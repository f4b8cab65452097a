// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/disk/bmap.h"

#include <algorithm>
#include <charconv>

#include "base/status.h"
#include "sdcard-image/disk/layout.h"
#include "sdcard-image/disk/ordered_work.h"

#include "absl/strings/str_format.h"

namespace bramble::sdcard {
namespace {

constexpr std::string_view kZeroDigest =
    "0000000000000000000000000000000000000000000000000000000000000000";

std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) {
    return "";
  }
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

// What stands between <NAME …> and </NAME>.
std::optional<std::string_view> Element(std::string_view text, std::string_view name) {
  const size_t open = text.find(StrCat("<", name, ">"));
  if (open == std::string_view::npos) {
    return std::nullopt;
  }
  const size_t begin = open + name.size() + 2;
  const size_t end = text.find(StrCat("</", name, ">"), begin);
  return end == std::string_view::npos ? std::nullopt
                                       : std::optional(Trimmed(text.substr(begin, end - begin)));
}

std::optional<uint64_t> Number(std::optional<std::string_view> text) {
  uint64_t number = 0;
  if (!text.has_value() || text->empty()) {
    return std::nullopt;
  }
  const auto [stop, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  return error == std::errc() && stop == text->data() + text->size() ? std::optional(number)
                                                                     : std::nullopt;
}

absl::StatusOr<BmapRange> ParseRange(std::string_view attributes, std::string_view blocks,
                                     uint64_t block_bytes, uint64_t image_bytes) {
  BmapRange range;
  const size_t dash = blocks.find('-');
  const auto first = Number(Trimmed(blocks.substr(0, dash)));
  const auto last =
      dash == std::string_view::npos ? first : Number(Trimmed(blocks.substr(dash + 1)));
  const uint64_t count = (image_bytes + block_bytes - 1) / block_bytes;
  if (!first || !last || *first > *last || *last >= count) {
    return absl::InvalidArgumentError(StrCat("the range \"", blocks, "\" is wrong"));
  }
  const uint64_t begin = *first * block_bytes;
  range.extent = {begin, std::min((*last + 1) * block_bytes, image_bytes) - begin};
  const size_t at = attributes.find("chksum=\"");
  if (at != std::string_view::npos) {
    BRAMBLE_ASSIGN_OR_RETURN(range.digest, Sha256Digest::FromHex(attributes.substr(at + 8, 64)));
  }
  return range;
}

absl::Status CheckOwnDigest(std::string_view text) {
  const auto stated = Element(text, "BmapFileChecksum");
  if (!stated.has_value()) {
    return absl::OkStatus();  // of version 1.2 or older
  }
  std::string blank(text);
  const size_t at = static_cast<size_t>(stated->data() - text.data());
  blank.replace(at, stated->size(), std::string(stated->size(), '0'));
  if (Sha256(blank).Hex() != *stated) {
    return absl::InvalidArgumentError("its own checksum does not fit: it was changed or cut short");
  }
  return absl::OkStatus();
}

}  // namespace

uint64_t Bmap::mapped_bytes() const {
  uint64_t sum = 0;
  for (const BmapRange& range : ranges) {
    sum += range.extent.size;
  }
  return sum;
}

absl::StatusOr<Bmap> MakeBmap(ByteDevice& image, const ExtentSet& mapped) {
  Bmap bmap;
  bmap.image_bytes = image.size();
  OrderedWork<Sha256Digest> hashes;
  for (const Extent& piece : mapped.Aligned(kBmapBlockBytes, image.size()).CutAt(kUnitBytes)) {
    BRAMBLE_ASSIGN_OR_RETURN(std::string bytes, image.Read(piece.offset, piece.size));
    hashes.Add([bytes = std::move(bytes)] { return Sha256(bytes); });
    bmap.ranges.push_back({.extent = piece, .digest = std::nullopt});
  }
  for (BmapRange& range : bmap.ranges) {
    range.digest = hashes.Next();
  }
  return bmap;
}

std::string FormatBmap(const Bmap& bmap) {
  const uint64_t blocks = (bmap.image_bytes + kBmapBlockBytes - 1) / kBmapBlockBytes;
  uint64_t mapped = 0;
  std::string ranges;
  for (const BmapRange& range : bmap.ranges) {
    const uint64_t first = range.extent.offset / kBmapBlockBytes;
    const uint64_t last = (range.extent.end() - 1) / kBmapBlockBytes;
    mapped += last - first + 1;
    ranges += absl::StrFormat(
        "        <Range chksum=\"%s\"> %s </Range>\n",
        range.digest.has_value() ? range.digest->Hex() : "",
        first == last ? absl::StrFormat("%d", first) : absl::StrFormat("%d-%d", first, last));
  }
  std::string text = StrCat(
      "<?xml version=\"1.0\" ?>\n<bmap version=\"2.0\">\n    <ImageSize> ", bmap.image_bytes,
      " </ImageSize>\n    <BlockSize> ", kBmapBlockBytes, " </BlockSize>\n    <BlocksCount> ",
      blocks, " </BlocksCount>\n    <MappedBlocksCount> ", mapped,
      " </MappedBlocksCount>\n    <ChecksumType> sha256 </ChecksumType>\n    <BmapFileChecksum> ",
      kZeroDigest, " </BmapFileChecksum>\n    <BlockMap>\n");
  text = StrCat(text, ranges, "    </BlockMap>\n</bmap>\n");
  const std::string digest = Sha256(text).Hex();
  text.replace(text.find(kZeroDigest), kZeroDigest.size(), digest);
  return text;
}

absl::StatusOr<Bmap> ParseBmap(std::string_view text, std::string_view name) {
  const auto wrong = [name](std::string_view what) {
    return absl::InvalidArgumentError(StrCat(name, ": no usable block map: ", what));
  };
  if (text.size() > kMaxBmapBytes || text.find("<bmap ") == std::string_view::npos) {
    return wrong("no <bmap> in it");
  }
  if (absl::Status own = CheckOwnDigest(text); !own.ok()) {
    return wrong(MessageOf(own));
  }
  const auto image = Number(Element(text, "ImageSize"));
  const auto block = Number(Element(text, "BlockSize"));
  if (!image || !block || *block < 512 || *block > (1 << 20)) {
    return wrong("ImageSize or BlockSize is missing");
  }
  Bmap bmap;
  bmap.image_bytes = *image;
  uint64_t end = 0;
  size_t at = text.find("<BlockMap>");
  while (at != std::string_view::npos && (at = text.find("<Range", at)) != std::string_view::npos) {
    const size_t close = text.find('>', at);
    const size_t stop = text.find("</Range>", at);
    if (close == std::string_view::npos || stop == std::string_view::npos || stop < close) {
      return wrong("it is cut short");
    }
    absl::StatusOr<BmapRange> range =
        ParseRange(text.substr(at, close - at), Trimmed(text.substr(close + 1, stop - close - 1)),
                   *block, *image);
    if (!range.ok()) {
      return wrong(MessageOf(range.status()));
    }
    if (range->extent.offset < end) {
      return wrong("its ranges overlap");
    }
    end = range->extent.end();
    bmap.ranges.push_back(*std::move(range));
    at = stop;
  }
  if (bmap.ranges.empty()) {
    return wrong("it maps nothing");
  }
  return bmap;
}

}  // namespace bramble::sdcard
