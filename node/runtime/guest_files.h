// SPDX-License-Identifier: Apache-2.0
#pragma once

// The files that tell a container its name, its address and its resolver, so that what its own
// network software does at boot agrees with what was set before init ran.

#include <string>
#include <vector>

#include "node/runtime/runtime_spec.h"

#include "absl/status/statusor.h"

namespace bramble::node {

struct GuestFile {
  std::string path;  // in the container
  std::string content;
  // Only where this directory exists: the container has the software that reads the file.
  std::string if_directory;
  uint32_t mode = 0644;
  uint32_t directory_mode = 0755;  // of directories that are made for it

  friend bool operator==(const GuestFile&, const GuestFile&) = default;
};

// Pure.
std::vector<GuestFile> GuestFilesFor(const RuntimeSpec& spec);
// Equal for specs whose files are equal.
std::string GuestFilesPrint(const RuntimeSpec& spec);

// What the tree at `root` shows of its init.
struct GuestInit {
  int halt_signal = 0;  // what asks it to end
};
// kFailedPrecondition: the image has no /sbin/init to run.
absl::StatusOr<GuestInit> InspectInit(int root);

// Writes the files into the tree at `root`, as the caller's user, beneath it.  The caller has no
// power outside of the container's ids: the tree is not to be trusted.  Unless `all`, only those
// that a power cut emptied.
absl::Status WriteGuestFiles(int root, const std::vector<GuestFile>& files, bool all);

// "SIGPWR", "PWR", "SIGRTMIN+3", "30" -> its number.
absl::StatusOr<int> ParseSignal(std::string_view text);

}  // namespace bramble::node
