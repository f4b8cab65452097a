// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which files of a node follow from its bramble.toml.  Pure.

#include <string>
#include <vector>

#include "sdcard-image/card/card_settings.h"

namespace bramble::sdcard {

struct NodeFile {
  std::string path;  // "/etc/hostname"
  std::string bytes;
  unsigned mode = 0644;
  bool absent = false;  // there must be none
};

inline constexpr const char* kJoinTokenFile = "/var/lib/bramble/join-token";
// Said of a node once it has joined: node/journal/paths.h names its records.
inline constexpr const char* kNodeStateDirectory = "/var/lib/bramble/node";

// In the order in which they are to be written.  `fallback_name` is for a card without a host name.
// The token is not among them once the node has joined.
std::vector<NodeFile> NodeFiles(const CardSettings& settings, const std::string& fallback_name,
                                bool joined);

// "pi-" and the last eight digits of the board's serial number, "pi-" and of the machine's id
// without one.
std::string FallbackName(const std::string& serial, const std::string& machine_id);

}  // namespace bramble::sdcard
