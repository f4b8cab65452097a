// SPDX-License-Identifier: Apache-2.0
#pragma once

// The flags that say what goes into a card's bramble.toml; build, customise and flash share them.

#include <vector>

#include "sdcard-image/card/card_settings.h"
#include "tools/bramble/command.h"

namespace bramble::cli {

std::vector<Flag> CardSettingsFlags();

// What the flags say.  Files that they name (--ssh-key, --token-file, --wifi-password-file,
// --settings) are read.
absl::StatusOr<sdcard::CardSettings> CardSettingsOf(const Args& args);

}  // namespace bramble::cli
