// SPDX-License-Identifier: Apache-2.0
#pragma once

// AppArmor, as far as containers have to do with it.  One profile is in force on all of them: what
// keeps them apart from each other are their ranges of ids.  The agent loads it once, so that
// starting a container costs no parser.

#include <filesystem>
#include <string>

#include "absl/status/status.h"

namespace bramble::node {

// The name in config/lxc/bramble-container.apparmor.
inline constexpr char kApparmorProfile[] = "bramble-container";

// Whether the kernel below `sys` has AppArmor and it is on.
bool HasAppArmor(const std::filesystem::path& sys);
// Whether the profile is loaded there and enforced.
bool IsApparmorProfileLoaded(const std::filesystem::path& sys);

// What `lxc.apparmor.profile` has to say: the profile; "unconfined" where it is not loaded, since
// liblxc would else look for one of its own; nothing where there is no AppArmor.
std::string ApparmorProfileToUse(const std::filesystem::path& sys);

// Loads the profile from `file`, or replaces it; running containers go over to the new one.  Takes
// a moment (a parser runs), a minute at most.  Nothing to do where there is no AppArmor.
// kFailedPrecondition: apparmor_parser is not there, or refuses the file.
absl::Status LoadApparmorProfile(const std::filesystem::path& file,
                                 const std::filesystem::path& sys);

}  // namespace bramble::node
