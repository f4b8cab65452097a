// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/flash/flash.h"

#include <algorithm>
#include <cstring>
#include <future>
#include <memory>

#include "base/status.h"
#include "base/units.h"
#include "sdcard-image/disk/bmap_check.h"
#include "sdcard-image/disk/ext4.h"
#include "sdcard-image/disk/mbr.h"

#include "absl/strings/str_format.h"

namespace bramble::sdcard {
namespace {

constexpr uint64_t kBatchBytes = 64 << 20;
constexpr uint64_t kZerosBytes = 4 << 20;

const std::string& Zeros() {
  static const std::string zeros(kZerosBytes, '\0');
  return zeros;
}

// Bytes that go to one place on every card.
struct Chunk {
  uint64_t offset = 0;
  std::shared_ptr<const std::string> owner;  // keeps `bytes` alive
  std::string_view bytes;
};
using Batch = std::vector<Chunk>;

// One card.  Its own thread writes one batch at a time.
class Target {
 public:
  Target(ByteDevice& device, const FlashOptions& options) : device_(device), options_(options) {
    result_.device = device.name();
  }

  bool failed() const { return !result_.status.ok(); }
  FlashResult& result() { return result_; }

  void Write(const Batch& batch) {
    if (!failed()) {
      result_.status = WriteAndVerify(batch);
    }
  }
  void Fail(const absl::Status& status) { result_.status.Update(status); }
  ByteDevice& device() { return device_; }

  // Not counted, not compared: what makes the card unbootable, and bootable again.
  absl::Status PutTable(std::string_view sector) {
    BRAMBLE_RETURN_IF_ERROR(device_.WriteAt(0, sector));
    BRAMBLE_RETURN_IF_ERROR(device_.Flush());
    BRAMBLE_ASSIGN_OR_RETURN(const std::string found, device_.Read(0, sector.size()));
    return found == sector
               ? absl::OkStatus()
               : absl::DataLossError(StrCat(device_.name(), ": the partition table was not kept"));
  }

 private:
  absl::Status WriteAndVerify(const Batch& batch) {
    std::vector<const Chunk*> wanted;
    std::string found;
    for (const Chunk& chunk : batch) {
      if (options_.delta) {
        BRAMBLE_ASSIGN_OR_RETURN(const bool same, Holds(chunk, found));
        if (same) {
          result_.same_bytes += chunk.bytes.size();
          continue;
        }
      }
      wanted.push_back(&chunk);
    }
    for (int attempt = 0; !wanted.empty(); ++attempt) {
      for (const Chunk* chunk : wanted) {
        BRAMBLE_RETURN_IF_ERROR(device_.WriteAt(chunk->offset, chunk->bytes));
        result_.written_bytes += chunk->bytes.size();
        result_.retried_bytes += attempt > 0 ? chunk->bytes.size() : 0;
      }
      BRAMBLE_RETURN_IF_ERROR(device_.Flush());
      std::vector<const Chunk*> bad;
      for (const Chunk* chunk : wanted) {
        BRAMBLE_ASSIGN_OR_RETURN(const bool same, Holds(*chunk, found));
        if (!same) {
          bad.push_back(chunk);
        }
      }
      if (!bad.empty() && attempt == options_.retries) {
        return absl::DataLossError(
            StrCat(device_.name(), ": what was written at sector ",
                   bad.front()->offset / kSectorBytes, " does not read back, ", options_.retries,
                   " retries did not help: the card or its reader is broken"));
      }
      wanted = std::move(bad);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<bool> Holds(const Chunk& chunk, std::string& buffer) {
    buffer.resize(chunk.bytes.size());
    if (chunk.offset + chunk.bytes.size() > device_.size()) {
      return false;  // a file that has not grown so far
    }
    BRAMBLE_RETURN_IF_ERROR(device_.ReadAt(chunk.offset, buffer.data(), buffer.size()));
    return buffer == chunk.bytes;
  }

  ByteDevice& device_;
  const FlashOptions& options_;
  FlashResult result_;
};

// Turns the image into chunks, remembers the partition table, and gives the chunks to the cards.
class Flasher {
 public:
  Flasher(ImageReader& image, const std::vector<ByteDevice*>& devices, const FlashOptions& options)
      : image_(image), options_(options) {
    for (ByteDevice* device : devices) {
      targets_.push_back(std::make_unique<Target>(*device, options));
    }
  }
  ~Flasher() { Wait(); }

  absl::StatusOr<std::vector<FlashResult>> Run() {
    for (const auto& target : targets_) {
      target->Fail(target->PutTable(std::string(kMbrBytes, '\0')));
    }
    BRAMBLE_RETURN_IF_ERROR(WriteImage());
    Wait();
    ShowProgress();
    for (size_t i = 0; i < targets_.size(); ++i) {
      Target& target = *targets_[i];
      if (!target.failed()) {
        target.Fail(FinishCard(target, i));
      }
    }
    std::vector<FlashResult> results;
    for (const auto& target : targets_) {
      results.push_back(std::move(target->result()));
    }
    return results;
  }

 private:
  absl::Status WriteImage() {
    std::unique_ptr<BmapCheck> check;
    if (options_.bmap != nullptr) {
      check = std::make_unique<BmapCheck>(*options_.bmap);
    }
    while (true) {
      BRAMBLE_ASSIGN_OR_RETURN(const auto piece, image_.Next());
      if (!piece.has_value()) {
        break;
      }
      if (check != nullptr) {
        BRAMBLE_RETURN_IF_ERROR(check->Take(*piece));
      }
      at_ = piece->offset + piece->size;
      BRAMBLE_RETURN_IF_ERROR(CheckFits());
      Take(*piece);
      if (batch_bytes_ >= kBatchBytes) {
        Start();
      }
    }
    Start();
    if (check != nullptr) {
      BRAMBLE_RETURN_IF_ERROR(check->Finish(at_));
    }
    if (table_.size() != kMbrBytes || !ParseMbr(table_).ok()) {
      return absl::DataLossError("the image has no partition table: not an image of a card");
    }
    return absl::OkStatus();
  }

  absl::Status CheckFits() const {
    for (const auto& target : targets_) {
      if (target->device().size() < at_) {
        return absl::OutOfRangeError(StrCat(target->device().name(), ": the image is larger than ",
                                            target->device().size(), " bytes"));
      }
    }
    return absl::OkStatus();
  }

  // The parts of `piece` that must be on the cards.
  void Take(const ImagePiece& piece) {
    const Extent whole = {piece.offset, piece.size};
    if (options_.bmap == nullptr) {
      if (!piece.hole) {
        Cut(piece, whole);
      }
      return;
    }
    const auto& ranges = options_.bmap->ranges;
    while (next_range_ < ranges.size() && ranges[next_range_].extent.end() <= whole.offset) {
      ++next_range_;
    }
    for (size_t i = next_range_; i < ranges.size() && ranges[i].extent.offset < whole.end(); ++i) {
      const uint64_t from = std::max(whole.offset, ranges[i].extent.offset);
      Cut(piece, {from, std::min(whole.end(), ranges[i].extent.end()) - from});
    }
  }

  void Cut(const ImagePiece& piece, Extent extent) {
    uint64_t at = extent.offset;
    while (at < extent.end()) {
      const uint64_t to = std::min(extent.end(), (at / kFlashPieceBytes + 1) * kFlashPieceBytes);
      const std::string_view bytes =
          piece.hole ? std::string_view(Zeros()).substr(0, to - at)
                     : std::string_view(*piece.bytes).substr(at - piece.offset, to - at);
      Add({at, piece.bytes, bytes});
      at = to;
    }
  }

  void Add(Chunk chunk) {
    if (chunk.offset < kMbrBytes) {
      const size_t kept = std::min<size_t>(kMbrBytes - chunk.offset, chunk.bytes.size());
      table_ += chunk.bytes.substr(0, kept);
      chunk.offset += kept;
      chunk.bytes.remove_prefix(kept);
      if (chunk.bytes.empty()) {
        return;
      }
    }
    written_.Add({chunk.offset, chunk.bytes.size()});
    batch_bytes_ += chunk.bytes.size();
    batch_.push_back(std::move(chunk));
  }

  // Gives the batch to every card; they write while the next one is decoded.
  void Start() {
    Wait();
    ShowProgress();
    running_batch_ = std::move(batch_);
    through_ = at_;
    handed_out_ += batch_bytes_;
    batch_ = {};
    batch_bytes_ = 0;
    for (const auto& target : targets_) {
      Target* const card = target.get();
      running_.push_back(std::async(  // lint: allow(threads) one card each, joined before the next
          std::launch::async, [card, this] { card->Write(running_batch_); }));
    }
  }

  // Of what was given to the cards and waited for.
  void ShowProgress() const {
    if (!options_.progress) {
      return;
    }
    options_.progress(options_.bmap == nullptr
                          ? FlashProgress{through_, image_.size().value_or(0)}
                          : FlashProgress{handed_out_, options_.bmap->mapped_bytes()});
  }

  void Wait() {
    for (std::future<void>& each : running_) {
      each.wait();
    }
    running_.clear();
  }

  absl::Status FinishCard(Target& target, size_t index) {
    BRAMBLE_RETURN_IF_ERROR(ClearJournals(target));
    if (options_.finish) {
      BRAMBLE_RETURN_IF_ERROR(options_.finish(target.device(), index, table_));
      BRAMBLE_RETURN_IF_ERROR(target.device().Flush());
    }
    return target.PutTable(table_);
  }

  // An old journal with the same identity would be replayed over what was just written: where the
  // image has a hole in its journal, the card gets zeros.
  absl::Status ClearJournals(Target& target) {
    BRAMBLE_ASSIGN_OR_RETURN(const Mbr mbr, ParseMbr(table_));
    for (const MbrPartition& partition : mbr.partitions) {
      if (partition.type != kMbrLinux || partition.end() > target.device().size()) {
        continue;
      }
      DeviceWindow window(target.device(), partition.offset(), partition.bytes());
      const absl::StatusOr<ExtentSet> journal = JournalExtents(window);
      if (!journal.ok()) {
        continue;  // no ext4
      }
      Batch zeros;
      for (const Extent& piece : journal->CutAt(kFlashPieceBytes)) {
        const uint64_t at = partition.offset() + piece.offset;
        if (!written_.Touches({at, piece.size})) {
          zeros.push_back({at, nullptr, std::string_view(Zeros()).substr(0, piece.size)});
        }
      }
      target.Write(zeros);
      BRAMBLE_RETURN_IF_ERROR(target.result().status);
    }
    return absl::OkStatus();
  }

  ImageReader& image_;
  const FlashOptions& options_;
  std::vector<std::unique_ptr<Target>> targets_;
  std::string table_;  // the first sector, kept back
  ExtentSet written_;
  uint64_t at_ = 0;
  uint64_t through_ = 0;     // of the image, by the batches that were given to the cards
  uint64_t handed_out_ = 0;  // bytes in them
  size_t next_range_ = 0;
  Batch batch_;
  uint64_t batch_bytes_ = 0;
  Batch running_batch_;
  std::vector<std::future<void>> running_;
};

}  // namespace

std::string ProgressText(const FlashProgress& progress, std::chrono::nanoseconds spent,
                         size_t cards) {
  const auto size = [](uint64_t bytes) { return ToString(Bytes{static_cast<int64_t>(bytes)}); };
  const double seconds = std::max(0.001, std::chrono::duration<double>(spent).count());
  const double rate = static_cast<double>(progress.done) / seconds;
  std::string text = StrCat(cards == 1 ? "" : StrCat(cards, " cards: "), size(progress.done));
  if (progress.total > 0) {
    text += StrCat(" of ", size(progress.total), ", ", progress.done * 100 / progress.total, " %");
  }
  text += absl::StrFormat(", %.1f MB/s", rate / 1e6);
  if (progress.total > 0 && progress.done > 0) {
    const double left =
        static_cast<double>(progress.total - std::min(progress.done, progress.total));
    text += absl::StrFormat(", %.0f s left", left / rate);
  }
  return text;
}

absl::StatusOr<std::vector<FlashResult>> Flash(ImageReader& image,
                                               const std::vector<ByteDevice*>& devices,
                                               const FlashOptions& options) {
  Flasher flasher(image, devices, options);
  return flasher.Run();
}

}  // namespace bramble::sdcard
