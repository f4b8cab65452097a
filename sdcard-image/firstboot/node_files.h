// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which files of a node follow from its bramble.toml.  Pure.

#include <string>
#include <string_view>
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
// Where the agent keeps what makes it a node of a cluster: node/journal/paths.h names its records.
inline constexpr const char* kNodeStateDirectory = "/var/lib/bramble/node";

// Whether that record (identity.0 and identity.1, as they are on the card; "" for none) says that
// the node has joined.  A slot whose writing a power cut broke off says nothing, and an empty text
// that the node was told to forget.  Pure.  Source: node/journal/record.h.
bool HasIdentity(std::string_view slot_0, std::string_view slot_1);

inline constexpr const char* kNodeToml = "/etc/bramble/node.toml";
// Whether a node.toml is one of those below, and not the package's own.
bool WasMadeHere(std::string_view node_toml);

// In the order in which they are to be written.  `fallback_name` is for a card without a host name.
// The token is not among them once the node has joined.
std::vector<NodeFile> NodeFiles(const CardSettings& settings, const std::string& fallback_name,
                                bool joined);

// "pi-" and the last eight digits of the board's serial number, "pi-" and of the machine's id
// without one.
std::string FallbackName(const std::string& serial, const std::string& machine_id);

}  // namespace bramble::sdcard
