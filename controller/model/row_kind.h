// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace bramble::controller {

// The kinds of object that are kept: each is a table.
enum class RowKind {
  kCluster,
  kNode,
  kContainer,
  kImage,
  kFlavor,
  kToken,
  kOperation,
  kUser,
  kCredential,
  kIdempotency,
  kProject,
  kSecurityGroup,
  kFloatingIp,
  kPortForward,
  kReservation,
  kKey,
  kContext
};
inline constexpr size_t kRowKinds = 17;

}  // namespace bramble::controller
