// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <utility>

#include "base/strings.h"
#include "node/images/image_cache.h"

namespace bramble::node {

// An image cache in memory.  Whatever archive a test puts at ArchivePath, Add takes it, unless the
// test said what Add shall answer.
class FakeImageCache : public ImageCache {
 public:
  explicit FakeImageCache(std::filesystem::path root) : root_(std::move(root)) {}

  // The next Add of `digest` fails with `status`, once.
  void FailNextAdd(const std::string& digest, absl::Status status) {
    failures_[digest] = std::move(status);
  }

  std::filesystem::path ArchivePath(const std::string& digest) override {
    std::filesystem::create_directories(root_ / digest);
    return root_ / digest / "archive";
  }

  asio::awaitable<absl::StatusOr<CachedImage>> Add(std::string digest) override {
    if (const auto failure = failures_.find(digest); failure != failures_.end()) {
      const absl::Status status = failure->second;
      failures_.erase(failure);
      co_return status;
    }
    CachedImage image;
    image.digest = digest;
    image.tree = root_ / digest / "tree";
    image.ids.first = 1'000'000;
    image.architecture = "amd64";
    images_[digest] = image;
    co_return image;
  }

  absl::StatusOr<CachedImage> Find(const std::string& digest) const override {
    const auto found = images_.find(digest);
    if (found == images_.end()) {
      return absl::NotFoundError(StrCat("image ", digest, " is not in the cache"));
    }
    return found->second;
  }

  std::vector<CachedImage> List() const override {
    std::vector<CachedImage> all;
    for (const auto& [digest, image] : images_) {
      all.push_back(image);
    }
    return all;
  }

  asio::awaitable<absl::Status> Collect(std::set<std::string> keep) override {
    std::erase_if(images_, [&keep](const auto& entry) { return !keep.contains(entry.first); });
    co_return absl::OkStatus();
  }

 private:
  std::filesystem::path root_;
  std::map<std::string, CachedImage> images_;
  std::map<std::string, absl::Status> failures_;
};

}  // namespace bramble::node
