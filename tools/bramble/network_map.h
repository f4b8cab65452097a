// SPDX-License-Identifier: Apache-2.0
#pragma once

// The cluster's prefix as a picture: a character for every address, or for a few of them where the
// prefix is larger than a screen.  Pure.

#include <string>
#include <vector>

#include "api/address.h"
#include "api/network.h"

namespace bramble::cli {

// Rows of addresses with the use of the range that each begins in, then the legend.
std::string RenderNetworkMap(const api::Network& network, const std::vector<api::Address>& taken);

}  // namespace bramble::cli
