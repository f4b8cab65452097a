// SPDX-License-Identifier: Apache-2.0
#pragma once

// The root tree of a card, from Debian's packages and ours, kept by what it was made from.

#include <filesystem>
#include <string>
#include <vector>

#include "sdcard-image/disk/card_image.h"
#include "sdcard-image/rootfs/build.h"

#include "absl/status/statusor.h"

namespace bramble::sdcard {

struct RootTree {
  std::filesystem::path path;
  std::string digest;  // of everything that it was made from
  uint64_t bytes = 0;
  uint64_t files = 0;
};

// The names that the options ask apt for, each once, ordered.  Reads the dependencies of our
// packages.
absl::StatusOr<std::vector<std::string>> PackagesOf(const BuildOptions& options);

// The digest of what the tree will be made from, without making it.
absl::StatusOr<std::string> DigestOfTree(const BuildOptions& options);

// This machine's own mirror of Debian, of whatever release, as apt knows it.
absl::StatusOr<std::string> OwnMirror();

// Makes it, unless it is there.  `defaults` go into /etc/default.  What it runs mounts and forks in
// namespaces that end with it: nothing is left of a build that is killed.  kUnavailable: the mirror
// does not answer, or another build is under way;  kNotFound: a package that the suite does not
// have;  kResourceExhausted: the disk is full.
absl::StatusOr<RootTree> MakeRootTree(const BuildOptions& options,
                                      const std::vector<BootFile>& defaults);

// The digest of the names and versions of all packages in the tree.
absl::StatusOr<std::string> PackagesDigest(const std::filesystem::path& tree);

// What its files take, in whole blocks, and how many there are.
absl::Status Measure(RootTree& tree);

}  // namespace bramble::sdcard
