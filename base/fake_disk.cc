// SPDX-License-Identifier: Apache-2.0
#include "base/fake_disk.h"

#include "base/status.h"

namespace bramble {
namespace {

absl::Status Missing(const Disk::Path& path) {
  return absl::NotFoundError(StrCat(path.string(), ": No such file or directory"));
}

// What of `bytes`, written over `durable`, a power cut leaves: nothing, all, or a part.
std::string Torn(const std::string& durable, const std::string& bytes, Random& random) {
  switch (random.Below(3)) {
    case 0:
      return durable;
    case 1:
      return bytes;
    default:
      return bytes.substr(0, random.Below(bytes.size() + 1));
  }
}

}  // namespace

// Counts a call that changes the disk, and fails it when it is its turn.
absl::Status FakeDisk::Change(const Path& path) {
  ++changes_;
  if (fail_from_.has_value() && changes_ >= *fail_from_) {
    if (fail_once_) {
      fail_from_.reset();
    }
    return Annotate(failure_, path.string());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> FakeDisk::Read(const Path& path, size_t max_bytes) {
  const auto name = names_.find(path);
  if (name == names_.end()) {
    return Missing(path);
  }
  const std::string& bytes = files_.at(name->second).bytes;
  if (bytes.size() > max_bytes) {
    return absl::ResourceExhaustedError(
        StrCat(path.string(), ": longer than ", max_bytes, " bytes"));
  }
  return bytes;
}

absl::Status FakeDisk::Put(const Path& path, std::string_view bytes, bool append) {
  if (!directories_.empty() && !directories_.contains(path.parent_path())) {
    return Missing(path);
  }
  const absl::Status failure = Change(path);
  if (!failure.ok()) {
    bytes = bytes.substr(0, bytes.size() / 2);
  }
  auto [name, made] = names_.try_emplace(path, next_inode_);
  if (made) {
    ++next_inode_;
  }
  File& file = files_[name->second];
  if (!append) {
    file.bytes.clear();
  }
  file.bytes += bytes;
  bytes_written_ += bytes.size();
  return failure;
}

absl::Status FakeDisk::Write(const Path& path, std::string_view bytes) {
  return Put(path, bytes, /*append=*/false);
}

absl::Status FakeDisk::Append(const Path& path, std::string_view bytes) {
  return Put(path, bytes, /*append=*/true);
}

absl::Status FakeDisk::SyncFile(const Path& path) {
  const auto name = names_.find(path);
  if (name == names_.end()) {
    return Missing(path);
  }
  BRAMBLE_RETURN_IF_ERROR(Change(path));
  ++syncs_;
  File& file = files_.at(name->second);
  file.durable = file.bytes;
  return absl::OkStatus();
}

absl::Status FakeDisk::SyncDirectory(const Path& path) {
  BRAMBLE_RETURN_IF_ERROR(Change(path));
  ++syncs_;
  std::erase_if(durable_names_,
                [&path](const auto& entry) { return entry.first.parent_path() == path; });
  for (const auto& [name, inode] : names_) {
    if (name.parent_path() == path) {
      durable_names_[name] = inode;
    }
  }
  return absl::OkStatus();
}

absl::Status FakeDisk::Rename(const Path& from, const Path& to) {
  const auto name = names_.find(from);
  if (name == names_.end()) {
    return Missing(from);
  }
  BRAMBLE_RETURN_IF_ERROR(Change(to));
  const uint64_t inode = name->second;
  names_.erase(name);
  names_[to] = inode;
  return absl::OkStatus();
}

absl::Status FakeDisk::Remove(const Path& path) {
  if (!names_.contains(path)) {
    return Missing(path);
  }
  BRAMBLE_RETURN_IF_ERROR(Change(path));
  names_.erase(path);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> FakeDisk::List(const Path& directory) {
  std::vector<std::string> found;
  for (const auto& [name, inode] : names_) {
    if (name.parent_path() == directory) {
      found.push_back(name.filename().string());
    }
  }
  if (found.empty() && !directories_.contains(directory)) {
    return Missing(directory);
  }
  return found;
}

absl::Status FakeDisk::MakeDirectory(const Path& path) {
  if (directories_.contains(path)) {
    return absl::OkStatus();
  }
  BRAMBLE_RETURN_IF_ERROR(Change(path));
  directories_[path] = true;
  return absl::OkStatus();
}

void FakeDisk::FailFrom(uint64_t n, absl::Status status) {
  fail_from_ = changes_ + n;
  fail_once_ = false;
  failure_ = std::move(status);
}

void FakeDisk::FailOnce(uint64_t n, absl::Status status) {
  FailFrom(n, std::move(status));
  fail_once_ = true;
}

void FakeDisk::Heal() { fail_from_.reset(); }

void FakeDisk::LosePower(Random* random) {
  Heal();
  Names left = durable_names_;
  if (random != nullptr) {
    // A directory's unsynced changes may or may not have reached the disk, each for itself.
    for (const auto& [name, inode] : names_) {
      const auto durable = durable_names_.find(name);
      const bool changed = durable == durable_names_.end() || durable->second != inode;
      if (changed && random->Below(2) == 0) {
        left[name] = inode;
      }
    }
    for (const auto& [name, inode] : durable_names_) {
      if (!names_.contains(name) && random->Below(2) == 0) {
        left.erase(name);
      }
    }
  }
  std::map<uint64_t, File> files;
  for (const auto& [name, inode] : left) {
    File file = files_.at(inode);
    if (file.bytes != file.durable && random != nullptr) {
      file.bytes = Torn(file.durable, file.bytes, *random);
    } else {
      file.bytes = file.durable;
    }
    file.durable = file.bytes;
    files[inode] = std::move(file);
  }
  files_ = std::move(files);
  names_ = left;
  durable_names_ = std::move(left);
}

}  // namespace bramble
