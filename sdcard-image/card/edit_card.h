// SPDX-License-Identifier: Apache-2.0
#pragma once

// Changes bramble.toml inside an image or on a card, without mounting it.

#include <filesystem>
#include <functional>

#include "sdcard-image/card/card_settings.h"
#include "sdcard-image/disk/byte_device.h"

#include "absl/status/statusor.h"

namespace bramble::sdcard {

using ChangeSettings = std::function<CardSettings(CardSettings there)>;

// Reads bramble.toml (missing: no settings), changes it, writes it; its times become `time_s`.
// kInvalidArgument: no partition table or FAT32 there, or a bramble.toml that is wrong.
absl::Status EditCardSettings(ByteDevice& card, const ChangeSettings& change, int64_t time_s);
// The same for a card that does not bear its partition table yet.
absl::Status EditCardSettingsBy(ByteDevice& card, std::string_view table,
                                const ChangeSettings& change, int64_t time_s);

// A copy that has the holes of the original.
absl::Status CopySparsely(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace bramble::sdcard
