// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace bramble::cli {

// `text` as a terminal may show it: control characters, what is not UTF-8, and characters that turn
// the writing direction are written as escapes ("\x1b", "\u202e").  Nothing that a node or a
// container says can move the cursor.
std::string Printable(std::string_view text);

// Columns that `text`, which is Printable, takes.
size_t DisplayWidth(std::string_view text);

}  // namespace bramble::cli
