// SPDX-License-Identifier: Apache-2.0
#include "base/file_response.h"

#include <utility>

#include "base/strings.h"

namespace bramble {

Response FileResponse(std::string_view digest, FileBody file) {
  Response response;
  response.content_type = "application/octet-stream";
  response.headers.Add("ETag", StrCat("\"", digest, "\""));
  response.body = std::move(file);
  return response;
}

}  // namespace bramble
