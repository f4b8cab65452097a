// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/http_server.h"

namespace bramble {

// 200 with the bytes of `file`, whose SHA-256 is `digest`, 64 hexadecimal digits: its ETag.  The
// server answers Range of it.
Response FileResponse(std::string_view digest, FileBody file);

}  // namespace bramble
