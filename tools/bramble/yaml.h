// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace bramble::cli {

// `value` as YAML 1.2 that a YAML 1.1 reader understands alike: text is left bare only where
// neither could take it for anything but text.  Ends with a newline.
std::string ToYaml(const json::value& value);

// `text` as one scalar, quoted where it must be.
std::string YamlScalar(std::string_view text);

}  // namespace bramble::cli
