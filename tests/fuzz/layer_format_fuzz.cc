// SPDX-License-Identifier: Apache-2.0
// The writable layer of a container that another node sends.
#include <algorithm>
#include <cstring>

#include "node/layers/layer_format.h"
#include "tests/fuzz/fuzz.h"

namespace bramble::fuzz {
namespace {

bool HasBadPart(std::string_view path) {
  while (!path.empty()) {
    const std::string_view part = path.substr(0, path.find('/'));
    if (part.empty() || part == "." || part == "..") {
      return true;
    }
    path.remove_prefix(std::min(path.size(), part.size() + 1));
  }
  return false;
}

}  // namespace

void Try(std::string_view input) {
  node::LayerDecoder decoder([&input](char* to, size_t most) -> absl::StatusOr<size_t> {
    const size_t size = std::min(most, input.size());
    std::memcpy(to, input.data(), size);
    input.remove_prefix(size);
    return size;
  });
  if (!decoder.Begin().ok()) {
    return;
  }
  while (true) {
    const absl::StatusOr<node::LayerDecoder::Item> item = decoder.Next();
    if (!item.ok() || std::holds_alternative<node::LayerTotals>(*item)) {
      return;
    }
    if (const auto* entry = std::get_if<node::LayerEntry>(&*item)) {
      BRAMBLE_CHECK(!HasBadPart(entry->path) && entry->path.size() <= node::kMaxLayerPathBytes,
                    "a path leads nowhere else");
      BRAMBLE_CHECK(entry->attributes.size() <= node::kMaxLayerAttributes, "the limit holds");
    } else if (const auto* data = std::get_if<node::LayerData>(&*item)) {
      BRAMBLE_CHECK(data->offset + data->bytes.size() >= data->offset, "the end can be counted");
    }
  }
}

std::vector<std::string> Seeds() {
  std::string stream;
  node::LayerEncoder encoder([&stream](std::string_view bytes) {
    stream += bytes;
    return absl::OkStatus();
  });
  const auto put = [](const absl::Status& status) { BRAMBLE_CHECK(status.ok(), "it is good"); };
  put(encoder.Begin());
  put(encoder.Entry({.kind = node::LayerKind::kDirectory, .mode = 0755}));
  put(encoder.Entry(
      {.kind = node::LayerKind::kDirectory, .path = "etc", .mode = 0755, .opaque = true}));
  put(encoder.Entry({.path = "etc/motd",
                     .mode = 0644,
                     .uid = 1,
                     .mtime_s = 1'700'000'000,
                     .size = 20,
                     .attributes = {{"user.a", "b"}}}));
  put(encoder.Data(5, "hello"));
  put(encoder.Entry({.kind = node::LayerKind::kSymlink, .path = "l", .target = "/etc/motd"}));
  put(encoder.Entry({.kind = node::LayerKind::kHardLink, .path = "h", .target = "etc/motd"}));
  put(encoder.Entry({.kind = node::LayerKind::kWhiteout, .path = "gone"}));
  put(encoder.End().status());
  std::string cut = stream.substr(0, stream.size() / 2);
  std::string evil = stream;
  evil.replace(evil.find("etc/motd"), 8, "../../ab");
  return {stream, cut, evil};
}

}  // namespace bramble::fuzz
