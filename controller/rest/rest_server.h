// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "base/http_server.h"
#include "controller/rest/rest_context.h"

namespace bramble::controller {

// The server for people, with every route; Listen() is the caller's.  `file_lane` reads files that
// are sent.
std::unique_ptr<HttpServer> MakeRestServer(RestContext& context, Lane& file_lane);

}  // namespace bramble::controller
