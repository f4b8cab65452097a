// SPDX-License-Identifier: Apache-2.0
// /v1/keys.
#include "api/http_status.h"
#include "api/public_key.h"
#include "base/status.h"
#include "controller/coordinator_keys.h"
#include "controller/rest/routes.h"

namespace bramble::controller {
namespace {

ProjectKey KeyOf(const Request& request) { return {.name = request.Param("name")}; }

absl::Status Add(RestContext& context, WriteCall& call) {
  JsonObjectReader reader(call.body, "key", UnknownKeys::kRefuse);
  AddKey add;
  add.name = reader.String("name");
  add.public_key =
      reader.String("public_key", {.max = 2 * api::kMaxPublicKeyBytes, .allow_control = true});
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  context.coordinator->keys().Add(call.who, std::move(add), std::move(call.options),
                                  std::move(call.done));
  return absl::OkStatus();
}

}  // namespace

void AddKeyRoutes(Router& router, RestContext& context) {
  router.Add("GET", "/v1/keys",
             ReadRoute(context, [&context](const Principal& who, Request& request) {
               const absl::StatusOr<ListQuery> query = ListQueryOf(request);
               return query.ok() ? context.coordinator->keys().List(who, *query)
                                 : absl::StatusOr<Rendered>(query.status());
             }));
  router.Add("GET", "/v1/keys/{name}",
             ReadRoute(context, [&context](const Principal& who, Request& request) {
               return context.coordinator->keys().Get(who, KeyOf(request));
             }));
  router.Add("POST", "/v1/keys",
             WriteRoute(context, api::kHttpCreated,
                        [&context](WriteCall& call) { return Add(context, call); }));
  router.Add("DELETE", "/v1/keys/{name}",
             WriteRoute(context, api::kHttpOk, [&context](WriteCall& call) {
               context.coordinator->keys().Delete(call.who, KeyOf(call.request),
                                                  std::move(call.options), std::move(call.done));
               return absl::OkStatus();
             }));
}

}  // namespace bramble::controller
