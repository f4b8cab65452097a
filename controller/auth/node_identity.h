// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/certificate.h"
#include "base/ids.h"

namespace bramble::controller {

// How a node's certificate names it: a URI "urn:bramble:CLUSTER:node:NODE" as subject alternative
// name.
std::string NodeUri(const ClusterId& cluster, const NodeId& node);
// Empty: not a node's certificate.
NodeId NodeIdOf(const Certificate& certificate);

}  // namespace bramble::controller
