// SPDX-License-Identifier: Apache-2.0
#pragma once

// A container's writable layer as a stream of bytes: what a cold move sends from one node to
// another.  It keeps what overlayfs and Linux know of a file and tar does not agree on: holes,
// extended attributes, sockets, whiteouts and opaque directories; owners are the container's own
// ids.  Nothing in it is a device.
//
//   kLayerMagic, then records: one byte type, four bytes length (little-endian), payload
//   'E'  an entry: everything of one file but its contents; a directory before what is in it
//   'D'  eight bytes offset, then bytes of the file that was named last; what no record has is a
//   hole 'Z'  the end: entries and bytes of contents (eight bytes each), SHA-256 of all before this
//   record
//
// Reader and writer hold one record at a time.

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "base/hash.h"

#include "absl/status/statusor.h"

namespace bramble::node {

inline constexpr std::string_view kLayerMagic = "bramble-layer-1\n";
inline constexpr size_t kMaxLayerRecordBytes = 1 << 20;
inline constexpr size_t kLayerDataBytes = 128 * 1024;  // of one 'D' record
inline constexpr size_t kMaxLayerPathBytes = 4095;
inline constexpr size_t kMaxLayerAttributes = 256;
inline constexpr uint64_t kMaxLayerEntries = 4'000'000;

enum class LayerKind : uint8_t {
  kDirectory = 1,
  kFile = 2,
  kSymlink = 3,
  kHardLink = 4,
  kFifo = 5,
  kSocket = 6,
  kWhiteout = 7,  // of overlayfs: what the image has under this name is gone
};

struct LayerAttribute {
  std::string name;
  std::string value;

  friend bool operator==(const LayerAttribute&, const LayerAttribute&) = default;
};

struct LayerEntry {
  LayerKind kind = LayerKind::kFile;
  std::string path;    // relative; "" is the layer's root
  std::string target;  // of a symbolic or hard link
  uint32_t mode = 0;   // permissions
  uint32_t uid = 0;    // as the container sees it
  uint32_t gid = 0;
  int64_t mtime_s = 0;
  uint32_t mtime_ns = 0;
  uint64_t size = 0;    // of a file, holes included
  bool opaque = false;  // of a directory: what the image has in it is gone
  std::vector<LayerAttribute> attributes;

  friend bool operator==(const LayerEntry&, const LayerEntry&) = default;
};

struct LayerData {
  uint64_t offset = 0;
  std::string bytes;
};

struct LayerTotals {
  uint64_t entries = 0;
  uint64_t bytes = 0;  // of contents, without holes
  std::string sha256;  // hex
};

class LayerEncoder {
 public:
  using Write = std::function<absl::Status(std::string_view)>;
  explicit LayerEncoder(Write write) : write_(std::move(write)) {}

  absl::Status Begin();
  absl::Status Entry(const LayerEntry& entry);
  absl::Status Data(uint64_t offset, std::string_view bytes);
  absl::StatusOr<LayerTotals> End();

 private:
  absl::Status Put(std::string_view bytes);
  absl::Status Record(char type, std::string_view payload);

  Write write_;
  Sha256Stream hash_;
  LayerTotals totals_;
};

// Everything that it gives was checked for itself: kinds, lengths, and that paths are relative and
// have no empty part, "." or "..".
class LayerDecoder {
 public:
  // At most so many bytes; 0 at the end.
  using Read = std::function<absl::StatusOr<size_t>(char* to, size_t most)>;
  explicit LayerDecoder(Read read) : read_(std::move(read)) {}

  // kInvalidArgument: not such a stream.
  absl::Status Begin();
  // LayerTotals is the last, and says that the hash was right.  kDataLoss: it was not, or the
  // stream ended before its end.
  using Item = std::variant<LayerEntry, LayerData, LayerTotals>;
  absl::StatusOr<Item> Next();

 private:
  absl::Status Fill(char* to, size_t size);
  absl::StatusOr<Item> DecodeEnd(std::string_view payload, const std::string& hash);

  Read read_;
  Sha256Stream hash_;
  LayerTotals totals_;
};

}  // namespace bramble::node
