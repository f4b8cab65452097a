// SPDX-License-Identifier: Apache-2.0
#pragma once

// Who asks.  Every read and every write of the controller's data takes a principal, and what a
// principal may not see answers exactly as what does not exist: kNotFound.

#include <string>
#include <vector>

#include "api/operation.h"
#include "base/ids.h"

namespace bramble::controller {

enum class PrincipalKind {
  kNone,  // nobody proved anything: may only use the set-up code, or join
  kUser,
  kNode,
  kToken,   // a join token
  kSystem,  // the controller itself
};
inline constexpr std::string_view kPrincipalKindNames[] = {"nobody", "user", "node", "token",
                                                           "controller"};

enum class Role { kNone, kReader, kAdmin };
inline constexpr std::string_view kRoleNames[] = {"none", "reader", "admin"};

struct Principal {
  PrincipalKind kind = PrincipalKind::kNone;
  std::string id;  // of the user, node or token
  std::string name;
  Role role = Role::kNone;
  std::vector<ProjectName> projects;  // those it sees; an administrator sees all

  static Principal System();
  static Principal Node(const NodeId& id, const NodeName& name);

  // "user:admin", "node:pi-1", "controller": as events and the audit log name it.
  std::string Actor() const;
};

enum class Access { kRead, kWrite };

// Whether `who` may do `access` to an object of `project` (empty: an object of the cluster, such as
// a node).  Nodes pass here for nothing: their sessions touch only their own rows by construction.
bool May(const Principal& who, Access access, std::string_view project);

// The one answer for what is unknown and what is forbidden: `container "web": not found`.
absl::Status NotFound(std::string_view kind, std::string_view name);

}  // namespace bramble::controller
