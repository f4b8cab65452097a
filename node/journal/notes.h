// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "node/agent/agent_core.h"

namespace bramble::node {

// The notes of AgentCore as text for the run directory.  They hold for one boot only: their times
// are CLOCK_BOOTTIME's.
std::string EncodeNotes(const std::map<ContainerId, ContainerNotes>& notes,
                        std::string_view boot_id);
// Empty for notes of another boot, and for text that is none.
std::map<ContainerId, ContainerNotes> DecodeNotes(std::string_view text, std::string_view boot_id);

}  // namespace bramble::node
