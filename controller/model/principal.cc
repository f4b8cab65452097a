// SPDX-License-Identifier: Apache-2.0
#include "controller/model/principal.h"

#include <algorithm>

namespace bramble::controller {

Principal Principal::System() {
  return {.kind = PrincipalKind::kSystem, .name = "controller", .role = Role::kAdmin};
}

Principal Principal::Node(const NodeId& id, const NodeName& name) {
  return {.kind = PrincipalKind::kNode, .id = id.str(), .name = name.str()};
}

std::string Principal::Actor() const {
  const std::string_view kind_name = kPrincipalKindNames[static_cast<size_t>(kind)];
  return kind == PrincipalKind::kSystem || kind == PrincipalKind::kNone
             ? std::string(kind_name)
             : StrCat(kind_name, ":", name);
}

bool May(const Principal& who, Access access, std::string_view project) {
  if (who.kind != PrincipalKind::kUser && who.kind != PrincipalKind::kSystem) {
    return false;
  }
  if (who.role == Role::kAdmin) {
    return true;
  }
  if (who.role != Role::kReader || access != Access::kRead) {
    return false;
  }
  return std::any_of(who.projects.begin(), who.projects.end(),
                     [&](const ProjectName& seen) { return seen.str() == project; });
}

absl::Status NotFound(std::string_view kind, std::string_view name) {
  const bool listed = kind != "cluster" && kind != "project";
  return absl::NotFoundError(
      StrCat(kind, " \"", name, "\": not found",
             listed ? StrCat("; `bramble ", kind, " list` shows what there is") : std::string()));
}

}  // namespace bramble::controller
