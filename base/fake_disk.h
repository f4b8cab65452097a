// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/disk.h"
#include "base/random.h"

namespace bramble {

// A disk in memory that forgets what was not synced.  For tests.
//
//   FakeDisk disk;
//   disk.FailFrom(n);          // the n-th changing call from now fails, and all after it
//   journal.Append(…);         // "the power goes here"
//   disk.LosePower(&random);   // unsynced writes go, some of them in part
//   Journal again(disk);       // must recover
class FakeDisk : public Disk {
 public:
  absl::StatusOr<std::string> Read(const Path& path, size_t max_bytes) override;
  absl::Status Write(const Path& path, std::string_view bytes) override;
  absl::Status Append(const Path& path, std::string_view bytes) override;
  absl::Status SyncFile(const Path& path) override;
  absl::Status SyncDirectory(const Path& path) override;
  absl::Status Rename(const Path& from, const Path& to) override;
  absl::Status Remove(const Path& path) override;
  absl::StatusOr<std::vector<std::string>> List(const Path& directory) override;
  absl::Status MakeDirectory(const Path& path) override;

  // The `n`-th changing call from now (1 is the next) fails with `status`, and every one after it
  // until Heal().  A failing Write or Append has written a part of its bytes.
  void FailFrom(uint64_t n, absl::Status status = absl::DataLossError("injected I/O error"));
  // Only the `n`-th changing call from now fails.
  void FailOnce(uint64_t n, absl::Status status = absl::DataLossError("injected I/O error"));
  void Heal();

  // What a power cut leaves: synced bytes under synced names.  With `random`, unsynced changes
  // survive wholly, in part, or not at all, as on a real disk; without, none does.  Heals.
  void LosePower(Random* random = nullptr);

  // Changing calls so far: run once to learn how many steps a scenario has, then fail at each.
  uint64_t changes() const { return changes_; }
  // Bytes written and syncs so far, for tests of write volume.
  uint64_t bytes_written() const { return bytes_written_; }
  uint64_t syncs() const { return syncs_; }

 private:
  struct File {
    std::string bytes;
    std::string durable;
  };
  using Names = std::map<Path, uint64_t>;

  absl::Status Change(const Path& path);
  absl::Status Put(const Path& path, std::string_view bytes, bool append);

  std::map<uint64_t, File> files_;  // by inode
  Names names_;
  Names durable_names_;
  std::map<Path, bool> directories_;  // whether durable
  uint64_t next_inode_ = 1;
  uint64_t changes_ = 0;
  uint64_t bytes_written_ = 0;
  uint64_t syncs_ = 0;
  std::optional<uint64_t> fail_from_;
  bool fail_once_ = false;
  absl::Status failure_;
};

}  // namespace bramble
