// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string_view>

#include "controller/store/store.h"

namespace bramble::controller {

// Which table a kind of row lives in, and which columns that has besides `id` and `doc`; an empty
// name: it has no such column.
struct TableShape {
  RowKind kind;
  std::string_view table;
  std::string_view project;
  std::string_view name;
  std::string_view owner;
  std::string_view state;
  std::string_view generation;
};

inline constexpr auto kTableShapes = std::to_array<TableShape>({
    {RowKind::kCluster, "cluster", "", "name", "", "", ""},
    {RowKind::kNode, "nodes", "", "name", "", "state", "generation"},
    {RowKind::kContainer, "containers", "project", "name", "node_id", "state", "generation"},
    {RowKind::kImage, "images", "project", "name", "", "", "generation"},
    {RowKind::kFlavor, "flavors", "", "", "", "", "generation"},
    {RowKind::kToken, "tokens", "", "", "", "state", "generation"},
    {RowKind::kOperation, "operations", "project", "name", "", "state", ""},
    {RowKind::kUser, "users", "", "name", "", "", ""},
    {RowKind::kCredential, "credentials", "", "name", "user_id", "", ""},
    {RowKind::kIdempotency, "idempotency", "", "", "", "", ""},
    {RowKind::kProject, "projects", "", "", "", "", "generation"},
    {RowKind::kSecurityGroup, "security_groups", "project", "name", "", "", "generation"},
    {RowKind::kFloatingIp, "floating_ips", "project", "", "container_id", "", "generation"},
    {RowKind::kPortForward, "port_forwards", "project", "", "", "", "generation"},
    {RowKind::kReservation, "reservations", "", "", "", "", "generation"},
    {RowKind::kKey, "keys", "project", "name", "", "", "generation"},
    {RowKind::kContext, "contexts", "", "", "", "", ""},
});
static_assert(kTableShapes.size() == kRowKinds);

inline const TableShape& ShapeOf(RowKind kind) { return kTableShapes[static_cast<size_t>(kind)]; }

}  // namespace bramble::controller
