// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/disk/compress.h"

#include <lzma.h>
#include <zstd.h>

#include <map>
#include <memory>

#include "base/file.h"
#include "base/hash.h"
#include "base/status.h"
#include "sdcard-image/disk/bytes.h"
#include "sdcard-image/disk/ordered_work.h"

namespace bramble::sdcard {
namespace {

constexpr uint64_t kZstdPieceBytes = 4 << 20;
constexpr uint64_t kXzPieceBytes = 16 << 20;
constexpr uint64_t kXzZeroBytes = 64 << 20;
constexpr size_t kKeptHeadBytes = 40;

// A stretch of the image that is compressed as a whole.
struct Piece {
  Extent extent;
  bool zeros = false;
};

// Cuts the image: data grown to whole pieces of `data_piece`, the rest into `zero_piece`.
std::vector<Piece> CutImage(const ExtentSet& mapped, uint64_t size, uint64_t data_piece,
                            uint64_t zero_piece) {
  std::vector<Piece> pieces;
  uint64_t at = 0;
  const auto zeros_to = [&](uint64_t end) {
    while (at < end) {
      const uint64_t length = std::min(zero_piece, end - at);
      pieces.push_back({{at, length}, true});
      at += length;
    }
  };
  // Holes smaller than what a block map can tell are read as they are.
  for (const Extent& extent : mapped.Aligned(64 << 10, size).extents()) {
    zeros_to(extent.offset);
    while (at < extent.end()) {
      const uint64_t length = std::min(data_piece, extent.end() - at);
      pieces.push_back({{at, length}, false});
      at += length;
    }
  }
  zeros_to(size);
  return pieces;
}

struct Packed {
  absl::Status status;
  std::string bytes;
  lzma_vli unpadded_size = 0;  // xz only
  uint64_t original = 0;
};

Packed PackZstd(std::string_view raw, int level) {
  struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  const std::unique_ptr<ZSTD_CCtx, Free> context(ZSTD_createCCtx());
  Packed packed;
  packed.original = raw.size();
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  packed.bytes.resize(ZSTD_compressBound(raw.size()));
  const size_t size = ZSTD_compress2(context.get(), packed.bytes.data(), packed.bytes.size(),
                                     raw.data(), raw.size());
  if (ZSTD_isError(size) != 0) {
    packed.status = absl::InternalError(StrCat("zstd: ", ZSTD_getErrorName(size)));
    return packed;
  }
  packed.bytes.resize(size);
  return packed;
}

absl::Status LzmaStatus(lzma_ret result, std::string_view what) {
  return result == LZMA_OK || result == LZMA_STREAM_END
             ? absl::OkStatus()
             : absl::InternalError(StrCat("xz: ", what, ": error ", static_cast<int>(result)));
}

Packed PackXz(std::string_view raw, int level) {
  Packed packed;
  packed.original = raw.size();
  lzma_options_lzma lzma2;
  if (lzma_lzma_preset(&lzma2, static_cast<uint32_t>(level)) != 0) {
    packed.status = absl::InvalidArgumentError(StrCat("xz: no level ", level));
    return packed;
  }
  lzma_filter filters[] = {{LZMA_FILTER_LZMA2, &lzma2}, {LZMA_VLI_UNKNOWN, nullptr}};
  lzma_block block = {};
  block.version = 1;
  block.check = LZMA_CHECK_CRC64;
  block.filters = filters;
  packed.bytes.resize(lzma_block_buffer_bound(raw.size()));
  size_t size = 0;
  const lzma_ret result = lzma_block_buffer_encode(
      &block, nullptr, reinterpret_cast<const uint8_t*>(raw.data()), raw.size(),
      reinterpret_cast<uint8_t*>(packed.bytes.data()), &size, packed.bytes.size());
  packed.status = LzmaStatus(result, "a block");
  packed.bytes.resize(size);
  packed.unpadded_size = lzma_block_unpadded_size(&block);
  return packed;
}

// A block that was packed before: SHA-256 of the rest, its size without padding, its bytes.  What
// cannot be read, or is damaged, is not there.
bool TakeKept(const std::filesystem::path& file, Packed& packed) {
  const absl::StatusOr<std::string> text = ReadFile(file, 2 * kXzPieceBytes);
  if (!text.ok() || text->size() < kKeptHeadBytes ||
      Sha256(std::string_view(*text).substr(32)).view() != std::string_view(*text).substr(0, 32)) {
    return false;
  }
  packed.unpadded_size = GetLe64(*text, 32);
  packed.bytes = text->substr(kKeptHeadBytes);
  std::error_code ignored;
  std::filesystem::last_write_time(file, std::filesystem::file_time_type::clock::now(), ignored);
  return true;
}

Packed PackXzOnce(std::string_view raw, int level, const std::filesystem::path& kept) {
  if (kept.empty()) {
    return PackXz(raw, level);
  }
  const std::filesystem::path file = kept / StrCat(Sha256(raw).Hex(), "-", level, ".xz-block");
  Packed packed;
  packed.original = raw.size();
  if (TakeKept(file, packed)) {
    return packed;
  }
  packed = PackXz(raw, level);
  if (packed.status.ok()) {
    std::string rest(8, '\0');
    PutLe<uint64_t>(rest, 0, packed.unpadded_size);
    rest += packed.bytes;
    // A full disk costs only time.
    (void)WriteFileAtomically(file, StrCat(Sha256(rest).view(), rest));
  }
  return packed;
}

// Hands every piece, packed, to `take` in the order of the image.
absl::Status PackPieces(ByteDevice& image, const std::vector<Piece>& pieces,
                        const std::function<Packed(std::string_view)>& pack,
                        const std::function<absl::Status(const Packed&)>& take) {
  // What stands for zeros, by their number.
  std::map<uint64_t, Packed> zeros;
  for (const Piece& piece : pieces) {
    if (piece.zeros && !zeros.contains(piece.extent.size)) {
      zeros.emplace(piece.extent.size, pack(std::string(piece.extent.size, '\0')));
    }
  }
  OrderedWork<Packed> work;
  size_t taken = 0;
  const auto take_next = [&]() -> absl::Status {
    const Piece& piece = pieces[taken++];
    const Packed packed = piece.zeros ? zeros.at(piece.extent.size) : work.Next();
    BRAMBLE_RETURN_IF_ERROR(packed.status);
    return take(packed);
  };
  for (size_t given = 0; given < pieces.size(); ++given) {
    if (pieces[given].zeros) {
      continue;
    }
    while (work.full() || (taken < given && pieces[taken].zeros)) {
      BRAMBLE_RETURN_IF_ERROR(take_next());
    }
    BRAMBLE_ASSIGN_OR_RETURN(std::string raw,
                             image.Read(pieces[given].extent.offset, pieces[given].extent.size));
    work.Add([&pack, raw = std::move(raw)] { return pack(raw); });
  }
  while (taken < pieces.size()) {
    BRAMBLE_RETURN_IF_ERROR(take_next());
  }
  return absl::OkStatus();
}

std::string_view ViewOf(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

struct IndexEnd {
  void operator()(lzma_index* index) const { lzma_index_end(index, nullptr); }
};

absl::Status FinishXz(lzma_index* index, const ByteSink& sink) {
  std::string bytes(lzma_index_size(index), '\0');
  size_t size = 0;
  BRAMBLE_RETURN_IF_ERROR(
      LzmaStatus(lzma_index_buffer_encode(index, reinterpret_cast<uint8_t*>(bytes.data()), &size,
                                          bytes.size()),
                 "the index"));
  BRAMBLE_RETURN_IF_ERROR(sink(bytes));
  lzma_stream_flags flags = {};
  flags.backward_size = lzma_index_size(index);
  flags.check = LZMA_CHECK_CRC64;
  uint8_t footer[LZMA_STREAM_HEADER_SIZE];
  BRAMBLE_RETURN_IF_ERROR(LzmaStatus(lzma_stream_footer_encode(&flags, footer), "the footer"));
  return sink(ViewOf(footer, sizeof(footer)));
}

absl::Status CompressXz(ByteDevice& image, const ExtentSet& mapped, const CompressOptions& options,
                        const ByteSink& sink) {
  lzma_stream_flags flags = {};
  flags.check = LZMA_CHECK_CRC64;
  uint8_t header[LZMA_STREAM_HEADER_SIZE];
  BRAMBLE_RETURN_IF_ERROR(LzmaStatus(lzma_stream_header_encode(&flags, header), "the header"));
  BRAMBLE_RETURN_IF_ERROR(sink(ViewOf(header, sizeof(header))));
  const std::unique_ptr<lzma_index, IndexEnd> index(lzma_index_init(nullptr));
  const auto pack = [&options](std::string_view raw) {
    return PackXzOnce(raw, options.level, options.kept);
  };
  const auto take = [&](const Packed& packed) -> absl::Status {
    BRAMBLE_RETURN_IF_ERROR(
        LzmaStatus(lzma_index_append(index.get(), nullptr, packed.unpadded_size, packed.original),
                   "the index"));
    return sink(packed.bytes);
  };
  BRAMBLE_RETURN_IF_ERROR(
      PackPieces(image, CutImage(mapped, image.size(), kXzPieceBytes, kXzZeroBytes), pack, take));
  return FinishXz(index.get(), sink);
}

}  // namespace

absl::StatusOr<std::string> ZstdFrameOfZeros(uint64_t size, int level) {
  Packed packed = PackZstd(std::string(size, '\0'), level);
  BRAMBLE_RETURN_IF_ERROR(packed.status);
  return std::move(packed.bytes);
}

absl::Status CompressImage(ByteDevice& image, const ExtentSet& mapped,
                           const CompressOptions& options, const ByteSink& sink) {
  if (options.kind == Compression::kXz) {
    return CompressXz(image, mapped, options, sink);
  }
  const auto pack = [level = options.level](std::string_view raw) { return PackZstd(raw, level); };
  const auto take = [&sink](const Packed& packed) { return sink(packed.bytes); };
  return PackPieces(image, CutImage(mapped, image.size(), kZstdPieceBytes, kZstdZeroBytes), pack,
                    take);
}

}  // namespace bramble::sdcard
