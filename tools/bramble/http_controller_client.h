// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "tools/bramble/controller_client.h"
#include "tools/bramble/session.h"

namespace bramble::cli {

// The real controller: HTTPS to one address, its key or its authority checked, a bearer token.
// What it says to be busy with (503) is asked again a few times; so is a request that was cut off
// and may be repeated.
std::unique_ptr<ControllerClient> MakeHttpControllerClient(Session::Endpoint endpoint);

// The key that the server at `url` shows.  Nothing is sent to it.
absl::StatusOr<ServerIdentity> IdentifyServer(std::string url);

}  // namespace bramble::cli
