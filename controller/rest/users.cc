// SPDX-License-Identifier: Apache-2.0
// /v1/users: shown only; so far there is the administrator.
#include "controller/coordinator_cluster.h"
#include "controller/rest/routes.h"

namespace bramble::controller {

void AddUserRoutes(Router& router, RestContext& context) {
  router.Add("GET", "/v1/users",
             ReadRoute(context, [&context](const Principal& who, Request& request) {
               const absl::StatusOr<ListQuery> query = ListQueryOf(request);
               return query.ok() ? context.coordinator->cluster().ListUsers(who, *query)
                                 : absl::StatusOr<Rendered>(query.status());
             }));
}

}  // namespace bramble::controller
