// SPDX-License-Identifier: Apache-2.0
#pragma once

// Files that are built into the program; embedded.cc is generated (controller/rest/CMakeLists.txt).

#include <string_view>

namespace bramble::controller {

extern const std::string_view kOpenapiYaml;  // api/openapi.yaml
extern const std::string_view kPageHtml;     // controller/rest/page/index.html
extern const std::string_view kPageScript;   // controller/rest/page/page.js
extern const std::string_view kPageStyle;    // controller/rest/page/page.css

}  // namespace bramble::controller
