// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/card/custom_zstd.h"

#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "base/status.h"
#include "sdcard-image/disk/mapped_file.h"

namespace bramble::sdcard {
namespace {

constexpr uint64_t kMaxFrameBytes = 128 << 20;
constexpr size_t kMaxFrames = 1 << 20;
constexpr int kLevel = 3;

struct Frame {
  uint64_t packed_offset = 0;
  uint64_t packed_size = 0;
  uint64_t offset = 0;  // in the image
  uint64_t size = 0;
};

// The image that the frames make, with what is written kept in memory.
class FramesDevice : public ByteDevice {
 public:
  static absl::StatusOr<std::unique_ptr<FramesDevice>> Open(const std::filesystem::path& path) {
    std::unique_ptr<FramesDevice> device(new FramesDevice);
    BRAMBLE_ASSIGN_OR_RETURN(device->file_, FileDevice::Open(path, FileDevice::Mode::kRead));
    if (device->file_->size() == 0) {
      return absl::InvalidArgumentError(StrCat(path.string(), ": empty"));
    }
    BRAMBLE_ASSIGN_OR_RETURN(device->packed_, MappedFile::Open(*device->file_));
    BRAMBLE_RETURN_IF_ERROR(device->ReadFrames());
    return device;
  }

  const std::string& name() const override { return file_->name(); }
  uint64_t size() const override { return frames_.back().offset + frames_.back().size; }
  absl::Status Flush() override { return absl::OkStatus(); }
  absl::Status ReadAt(uint64_t offset, char* out, size_t size) override {
    return Walk(offset, size, [&out](std::string& frame, size_t at, size_t count) {
      std::memcpy(out, frame.data() + at, count);
      out += count;
      return false;
    });
  }
  absl::Status WriteAt(uint64_t offset, std::string_view bytes) override {
    return Walk(offset, bytes.size(), [&bytes](std::string& frame, size_t at, size_t count) {
      frame.replace(at, count, bytes.substr(0, count));
      bytes.remove_prefix(count);
      return true;
    });
  }

  absl::StatusOr<CustomZstd> Parts() const {
    CustomZstd made;
    for (size_t i = 0; i < frames_.size(); ++i) {
      const Frame& frame = frames_[i];
      ZstdPart part{.offset = frame.packed_offset, .size = frame.packed_size};
      if (const auto changed = open_.find(i); changed != open_.end() && changed->second.changed) {
        BRAMBLE_ASSIGN_OR_RETURN(part.bytes, Compressed(changed->second.bytes));
        part.size = part.bytes.size();
      }
      made.bytes += part.size;
      ZstdPart* last = made.parts.empty() ? nullptr : &made.parts.back();
      if (last != nullptr && part.bytes.empty() && last->bytes.empty()) {
        last->size += part.size;
      } else {
        made.parts.push_back(std::move(part));
      }
    }
    return made;
  }

 private:
  struct OpenFrameBytes {
    std::string bytes;
    bool changed = false;
  };

  absl::Status ReadFrames() {
    uint64_t image_at = 0;
    std::string_view rest = packed_->view();
    while (!rest.empty()) {
      const size_t packed = ZSTD_findFrameCompressedSize(rest.data(), rest.size());
      const unsigned long long size = ZSTD_getFrameContentSize(rest.data(), rest.size());
      if (ZSTD_isError(packed) != 0) {
        return absl::DataLossError(StrCat(name(), ": no .zst, or one that is cut short"));
      }
      if (size == ZSTD_CONTENTSIZE_UNKNOWN || size > kMaxFrameBytes ||
          frames_.size() == kMaxFrames) {
        return absl::InvalidArgumentError(
            StrCat(name(), ": not a .zst of many frames, as `bramble sdcard build` makes them"));
      }
      frames_.push_back({file_->size() - rest.size(), packed, image_at, size});
      image_at += size;
      rest.remove_prefix(packed);
    }
    return absl::OkStatus();
  }

  template <typename Use>
  absl::Status Walk(uint64_t offset, size_t size, Use use) {
    if (offset + size > this->size()) {
      return absl::OutOfRangeError(StrCat(name(), ": beyond the end of the image"));
    }
    auto frame = std::upper_bound(frames_.begin(), frames_.end(), offset,
                                  [](uint64_t at, const Frame& each) { return at < each.offset; });
    size_t index = static_cast<size_t>(frame - frames_.begin()) - 1;
    while (size > 0) {
      BRAMBLE_ASSIGN_OR_RETURN(auto* const open, OpenFrame(index));
      const size_t at = offset - frames_[index].offset;
      const size_t count = std::min<uint64_t>(size, frames_[index].size - at);
      open->changed = use(open->bytes, at, count) || open->changed;
      offset += count;
      size -= count;
      ++index;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<OpenFrameBytes*> OpenFrame(size_t index) {
    const auto found = open_.find(index);
    if (found != open_.end()) {
      return &found->second;
    }
    const Frame& frame = frames_[index];
    const std::string_view packed = packed_->view().substr(frame.packed_offset, frame.packed_size);
    OpenFrameBytes open;
    open.bytes.resize(frame.size);
    const size_t made =
        ZSTD_decompress(open.bytes.data(), open.bytes.size(), packed.data(), packed.size());
    if (ZSTD_isError(made) != 0 || made != frame.size) {
      return absl::DataLossError(StrCat(name(), ": the compressed image is damaged"));
    }
    return &open_.emplace(index, std::move(open)).first->second;
  }

  static absl::StatusOr<std::string> Compressed(const std::string& bytes) {
    std::string packed(ZSTD_compressBound(bytes.size()), '\0');
    const size_t size =
        ZSTD_compress(packed.data(), packed.size(), bytes.data(), bytes.size(), kLevel);
    if (ZSTD_isError(size) != 0) {
      return absl::InternalError(StrCat("zstd: ", ZSTD_getErrorName(size)));
    }
    packed.resize(size);
    return packed;
  }

  std::unique_ptr<FileDevice> file_;
  std::unique_ptr<MappedFile> packed_;
  std::vector<Frame> frames_;
  std::map<size_t, OpenFrameBytes> open_;
};

}  // namespace

absl::StatusOr<CustomZstd> CustomiseZstd(const std::filesystem::path& image,
                                         const ChangeSettings& change, int64_t time_s) {
  BRAMBLE_ASSIGN_OR_RETURN(const auto device, FramesDevice::Open(image));
  BRAMBLE_RETURN_IF_ERROR(EditCardSettings(*device, change, time_s));
  return device->Parts();
}

}  // namespace bramble::sdcard
