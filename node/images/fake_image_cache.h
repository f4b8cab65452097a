// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>
#include <utility>

#include "base/strings.h"
#include "base/timer.h"
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

  // The next Add of `digest` ends when `until` is set.
  void HoldNextAdd(const std::string& digest, Event& until) { held_[digest] = &until; }
  bool Holds(const std::string& digest) const { return holding_.contains(digest); }

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
    if (const auto held = held_.find(digest); held != held_.end()) {
      Event* const until = held->second;
      held_.erase(held);
      holding_.insert(digest);
      co_await until->Wait();
      holding_.erase(digest);
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

  // Archives stay where a test, or a fetch, put them.
  std::optional<std::filesystem::path> KeptArchive(const std::string& digest) const override {
    const std::filesystem::path archive = root_ / digest / "archive";
    const bool kept = images_.contains(digest) && std::filesystem::exists(archive);
    return kept ? std::optional(archive) : std::nullopt;
  }
  void NoteUse(const std::string& digest) override { used_.push_back(digest); }
  const std::vector<std::string>& used() const { return used_; }

  asio::awaitable<absl::Status> Collect(std::set<std::string> in_use, Bytes needed) override {
    if (needed.count > 0) {
      std::erase_if(images_,
                    [&in_use](const auto& entry) { return !in_use.contains(entry.first); });
    }
    co_return absl::OkStatus();
  }

 private:
  std::filesystem::path root_;
  std::map<std::string, CachedImage> images_;
  std::vector<std::string> used_;
  std::map<std::string, absl::Status> failures_;
  std::map<std::string, Event*> held_;
  std::set<std::string> holding_;
};

}  // namespace bramble::node
