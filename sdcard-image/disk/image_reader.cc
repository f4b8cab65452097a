// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/disk/image_reader.h"

#include <fcntl.h>
#include <lzma.h>
#include <zstd.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <set>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "sdcard-image/disk/byte_device.h"
#include "sdcard-image/disk/extents.h"
#include "sdcard-image/disk/mapped_file.h"
#include "sdcard-image/disk/ordered_work.h"

namespace bramble::sdcard {
namespace {

constexpr uint64_t kMaxPartBytes = 128 << 20;
constexpr uint64_t kRawPieceBytes = 4 << 20;
constexpr uint64_t kMaxHoleBytes = 256 << 20;
constexpr size_t kStreamPieceBytes = 4 << 20;
// A part that packs better than this is worth a look whether it is zeros.
constexpr uint64_t kZerosRatio = 2000;

bool IsZeros(std::string_view bytes) {
  return bytes.empty() ||
         (bytes[0] == '\0' && bytes.substr(1) == bytes.substr(0, bytes.size() - 1));
}

class RawReader : public ImageReader {
 public:
  RawReader(std::unique_ptr<FileDevice> file, ExtentSet data)
      : file_(std::move(file)), data_(std::move(data)) {}

  std::optional<uint64_t> size() const override { return file_->size(); }
  absl::StatusOr<std::optional<ImagePiece>> Next() override {
    if (at_ >= file_->size()) {
      return std::optional<ImagePiece>();
    }
    while (next_ < data_.extents().size() && data_.extents()[next_].end() <= at_) {
      ++next_;
    }
    const bool more = next_ < data_.extents().size();
    const uint64_t data = more ? data_.extents()[next_].offset : file_->size();
    ImagePiece piece{.offset = at_};
    if (data > at_) {
      piece.hole = true;
      piece.size = std::min(data - at_, kMaxHoleBytes);
    } else {
      const uint64_t line = (at_ / kRawPieceBytes + 1) * kRawPieceBytes;
      piece.size = std::min(data_.extents()[next_].end(), line) - at_;
      BRAMBLE_ASSIGN_OR_RETURN(std::string bytes, file_->Read(at_, piece.size));
      piece.bytes = std::make_shared<const std::string>(std::move(bytes));
    }
    at_ += piece.size;
    return std::optional(std::move(piece));
  }

 private:
  std::unique_ptr<FileDevice> file_;
  ExtentSet data_;
  size_t next_ = 0;
  uint64_t at_ = 0;
};

// A part of a compressed image that can be decoded by itself.
struct Part {
  std::string_view packed;
  uint64_t offset = 0;
  uint64_t size = 0;
};
struct Decoded {
  absl::Status status;
  std::shared_ptr<const std::string> bytes;
};
using DecodePart = std::function<absl::Status(std::string_view packed, std::string& out)>;

// Decodes parts on every core, and each that is zeros only once.
class PartsReader : public ImageReader {
 public:
  PartsReader(std::unique_ptr<MappedFile> file, std::vector<Part> parts, DecodePart decode)
      : file_(std::move(file)), parts_(std::move(parts)), decode_(std::move(decode)) {}

  std::optional<uint64_t> size() const override {
    return parts_.empty() ? 0 : parts_.back().offset + parts_.back().size;
  }
  absl::StatusOr<std::optional<ImagePiece>> Next() override {
    if (taken_ == parts_.size()) {
      return std::optional<ImagePiece>();
    }
    BRAMBLE_RETURN_IF_ERROR(LookAhead());
    const Part& part = parts_[taken_++];
    ImagePiece piece{.offset = part.offset, .size = part.size};
    if (waiting_.front()) {
      piece.hole = true;
    } else {
      Decoded decoded = work_.Next();
      BRAMBLE_RETURN_IF_ERROR(decoded.status);
      piece.bytes = std::move(decoded.bytes);
    }
    waiting_.pop_front();
    return std::optional(std::move(piece));
  }

 private:
  absl::Status LookAhead() {
    while (given_ < parts_.size() && waiting_.size() < kAhead && !work_.full()) {
      const Part& part = parts_[given_++];
      BRAMBLE_ASSIGN_OR_RETURN(const bool zeros, IsKnownZeros(part));
      waiting_.push_back(zeros);
      if (!zeros) {
        work_.Add([this, part] { return Decode(part); });
      }
    }
    return absl::OkStatus();
  }
  absl::StatusOr<bool> IsKnownZeros(const Part& part) {
    if (part.size < part.packed.size() * kZerosRatio) {
      return false;
    }
    if (zeros_.contains(part.packed)) {
      return true;
    }
    const Decoded decoded = Decode(part);
    BRAMBLE_RETURN_IF_ERROR(decoded.status);
    if (!IsZeros(*decoded.bytes)) {
      return false;
    }
    zeros_.insert(part.packed);
    return true;
  }
  Decoded Decode(const Part& part) const {
    std::string out(part.size, '\0');
    Decoded decoded;
    decoded.status = decode_(part.packed, out);
    decoded.bytes = std::make_shared<const std::string>(std::move(out));
    return decoded;
  }

  static constexpr size_t kAhead = 64;
  std::unique_ptr<MappedFile> file_;
  std::vector<Part> parts_;
  DecodePart decode_;
  std::set<std::string_view> zeros_;
  std::deque<bool> waiting_;  // of parts [taken_, given_): whether it is a hole
  size_t given_ = 0;
  size_t taken_ = 0;
  OrderedWork<Decoded> work_;  // last: its destructor waits for what uses the rest
};

// Decodes `in` from where it stands into `out`; gives how much it made, 0 at the end.
using DecodeStream = std::function<absl::StatusOr<size_t>(char* out, size_t room)>;

class StreamReader : public ImageReader {
 public:
  StreamReader(std::unique_ptr<MappedFile> file, std::optional<uint64_t> size, DecodeStream decode)
      : file_(std::move(file)), size_(size), decode_(std::move(decode)) {}

  std::optional<uint64_t> size() const override { return size_; }
  absl::StatusOr<std::optional<ImagePiece>> Next() override {
    std::string bytes(kStreamPieceBytes, '\0');
    size_t filled = 0;
    while (filled < bytes.size()) {
      BRAMBLE_ASSIGN_OR_RETURN(const size_t made,
                               decode_(bytes.data() + filled, bytes.size() - filled));
      if (made == 0) {
        break;
      }
      filled += made;
    }
    if (filled == 0) {
      return std::optional<ImagePiece>();
    }
    bytes.resize(filled);
    ImagePiece piece{.offset = at_, .size = filled, .hole = IsZeros(bytes)};
    if (!piece.hole) {
      piece.bytes = std::make_shared<const std::string>(std::move(bytes));
    }
    at_ += filled;
    return std::optional(std::move(piece));
  }

 private:
  std::unique_ptr<MappedFile> file_;
  std::optional<uint64_t> size_;
  DecodeStream decode_;
  uint64_t at_ = 0;
};

absl::Status CutShort(const std::string& name) {
  return absl::DataLossError(StrCat(name, ": the compressed image is cut short: copy it again"));
}

absl::Status Damaged(const std::string& name, std::string_view what) {
  return absl::DataLossError(
      StrCat(name, ": the compressed image is damaged (", what, "): copy it again"));
}

absl::StatusOr<std::unique_ptr<ImageReader>> StreamZstd(std::unique_ptr<MappedFile> file,
                                                        const std::string& name) {
  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  std::shared_ptr<ZSTD_DCtx> context(ZSTD_createDCtx(), Free{});
  ZSTD_inBuffer in = {file->view().data(), file->view().size(), 0};
  const unsigned long long stated = ZSTD_getFrameContentSize(in.src, in.size);
  const bool one = ZSTD_findFrameCompressedSize(in.src, in.size) == in.size;
  const std::optional<uint64_t> size =
      one && stated != ZSTD_CONTENTSIZE_UNKNOWN && stated != ZSTD_CONTENTSIZE_ERROR
          ? std::optional<uint64_t>(stated)
          : std::nullopt;
  auto decode = [context, in, name, left = size_t{0}](
                    char* out, size_t room) mutable -> absl::StatusOr<size_t> {
    ZSTD_outBuffer made = {out, room, 0};
    while (made.pos == 0) {
      if (in.pos == in.size && left == 0) {
        return size_t{0};
      }
      const size_t before = in.pos;
      left = ZSTD_decompressStream(context.get(), &made, &in);
      if (ZSTD_isError(left) != 0) {
        return Damaged(name, ZSTD_getErrorName(left));
      }
      if (made.pos == 0 && in.pos == before && left != 0) {
        return CutShort(name);
      }
    }
    return made.pos;
  };
  return std::make_unique<StreamReader>(std::move(file), size, std::move(decode));
}

absl::StatusOr<std::unique_ptr<ImageReader>> OpenZstd(std::unique_ptr<MappedFile> file,
                                                      const std::string& name) {
  std::vector<Part> parts;
  std::string_view rest = file->view();
  uint64_t at = 0;
  while (!rest.empty()) {
    const size_t packed = ZSTD_findFrameCompressedSize(rest.data(), rest.size());
    const unsigned long long size = ZSTD_getFrameContentSize(rest.data(), rest.size());
    if (ZSTD_isError(packed) != 0) {
      return CutShort(name);
    }
    if (size == ZSTD_CONTENTSIZE_UNKNOWN || size > kMaxPartBytes) {
      return StreamZstd(std::move(file), name);
    }
    parts.push_back({rest.substr(0, packed), at, size});
    at += size;
    rest.remove_prefix(packed);
  }
  DecodePart decode = [name](std::string_view packed, std::string& out) -> absl::Status {
    const size_t made = ZSTD_decompress(out.data(), out.size(), packed.data(), packed.size());
    if (ZSTD_isError(made) != 0 || made != out.size()) {
      return Damaged(name, ZSTD_isError(made) != 0 ? ZSTD_getErrorName(made) : "too short");
    }
    return absl::OkStatus();
  };
  return std::make_unique<PartsReader>(std::move(file), std::move(parts), std::move(decode));
}

const uint8_t* BytesOf(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

absl::StatusOr<std::unique_ptr<ImageReader>> StreamXz(std::unique_ptr<MappedFile> file,
                                                      const std::string& name,
                                                      std::optional<uint64_t> size) {
  struct End {
    void operator()(lzma_stream* stream) const {
      lzma_end(stream);
      delete stream;
    }
  };
  std::shared_ptr<lzma_stream> stream(new lzma_stream(LZMA_STREAM_INIT), End{});
  if (lzma_stream_decoder(stream.get(), UINT64_MAX, LZMA_CONCATENATED) != LZMA_OK) {
    return absl::InternalError("xz: no decoder");
  }
  stream->next_in = BytesOf(file->view());
  stream->avail_in = file->view().size();
  auto decode = [stream, name](char* out, size_t room) -> absl::StatusOr<size_t> {
    stream->next_out = reinterpret_cast<uint8_t*>(out);
    stream->avail_out = room;
    const lzma_ret result = lzma_code(stream.get(), LZMA_FINISH);
    if (result == LZMA_BUF_ERROR) {
      return CutShort(name);
    }
    if (result != LZMA_OK && result != LZMA_STREAM_END) {
      return Damaged(name, StrCat("error ", static_cast<int>(result)));
    }
    return room - stream->avail_out;
  };
  return std::make_unique<StreamReader>(std::move(file), size, std::move(decode));
}

absl::Status DecodeXzBlock(const std::string& name, lzma_check check, std::string_view packed,
                           std::string& out) {
  lzma_filter filters[LZMA_FILTERS_MAX + 1];
  lzma_block block = {};
  block.version = 1;
  block.check = check;
  block.filters = filters;
  block.header_size = lzma_block_header_size_decode(static_cast<unsigned char>(packed[0]));
  if (block.header_size > packed.size() ||
      lzma_block_header_decode(&block, nullptr, BytesOf(packed)) != LZMA_OK) {
    return Damaged(name, "a block's header");
  }
  size_t in = block.header_size;
  size_t made = 0;
  const lzma_ret result =
      lzma_block_buffer_decode(&block, nullptr, BytesOf(packed), &in, packed.size(),
                               reinterpret_cast<uint8_t*>(out.data()), &made, out.size());
  lzma_filters_free(filters, nullptr);
  return result == LZMA_OK && made == out.size() ? absl::OkStatus()
                                                 : Damaged(name, "a block does not decode");
}

absl::StatusOr<std::unique_ptr<ImageReader>> OpenXz(std::unique_ptr<MappedFile> file,
                                                    const std::string& name) {
  const std::string_view all = file->view();
  lzma_stream_flags footer;
  if (all.size() < 2 * LZMA_STREAM_HEADER_SIZE ||
      lzma_stream_footer_decode(&footer, BytesOf(all) + all.size() - LZMA_STREAM_HEADER_SIZE) !=
          LZMA_OK ||
      footer.backward_size > all.size() - 2 * LZMA_STREAM_HEADER_SIZE) {
    return CutShort(name);
  }
  lzma_index* raw = nullptr;
  uint64_t memory = UINT64_MAX;
  size_t in = all.size() - LZMA_STREAM_HEADER_SIZE - footer.backward_size;
  if (lzma_index_buffer_decode(&raw, &memory, nullptr, BytesOf(all), &in,
                               all.size() - LZMA_STREAM_HEADER_SIZE) != LZMA_OK) {
    return Damaged(name, "its index");
  }
  struct End {
    void operator()(lzma_index* index) const { lzma_index_end(index, nullptr); }
  };
  const std::unique_ptr<lzma_index, End> index(raw);
  const uint64_t size = lzma_index_uncompressed_size(index.get());
  if (lzma_index_file_size(index.get()) != all.size()) {
    return StreamXz(std::move(file), name, std::nullopt);  // several streams, one after the other
  }
  std::vector<Part> parts;
  lzma_index_iter at;
  lzma_index_iter_init(&at, index.get());
  while (!lzma_index_iter_next(&at, LZMA_INDEX_ITER_BLOCK)) {
    if (at.block.uncompressed_size > kMaxPartBytes) {
      return StreamXz(std::move(file), name, size);
    }
    parts.push_back({all.substr(at.block.compressed_file_offset, at.block.total_size),
                     at.block.uncompressed_file_offset, at.block.uncompressed_size});
  }
  DecodePart decode = [name, check = footer.check](std::string_view packed, std::string& out) {
    return DecodeXzBlock(name, check, packed, out);
  };
  return std::make_unique<PartsReader>(std::move(file), std::move(parts), std::move(decode));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ImageReader>> ImageReader::Open(const std::filesystem::path& path) {
  BRAMBLE_ASSIGN_OR_RETURN(auto file, FileDevice::Open(path, FileDevice::Mode::kRead));
  if (file->size() < 512) {
    return absl::DataLossError(StrCat(path.string(), ": ", file->size(), " bytes are no image"));
  }
  BRAMBLE_ASSIGN_OR_RETURN(const std::string head, file->Read(0, 6));
  const bool zstd = head.substr(0, 4) == "\x28\xb5\x2f\xfd";
  const bool xz = head == std::string(
                              "\xfd"
                              "7zXZ\0",
                              6);
  if (head.substr(0, 2) == "\x1f\x8b" || head.substr(0, 2) == "PK") {
    return absl::InvalidArgumentError(
        StrCat(path.string(), ": gzip and zip are not read here: unpack it first"));
  }
  if (!zstd && !xz) {
    BRAMBLE_ASSIGN_OR_RETURN(ExtentSet data, DataExtents(file->fd(), file->size()));
    return std::make_unique<RawReader>(std::move(file), std::move(data));
  }
  BRAMBLE_ASSIGN_OR_RETURN(auto mapped, MappedFile::Open(*file));
  return zstd ? OpenZstd(std::move(mapped), path.string())
              : OpenXz(std::move(mapped), path.string());
}

}  // namespace bramble::sdcard
