// SPDX-License-Identifier: Apache-2.0
// /v1/tokens: join tokens.
#include "api/http_status.h"
#include "base/status.h"
#include "controller/coordinator_tokens.h"
#include "controller/rest/routes.h"

namespace bramble::controller {
namespace {

absl::Status Create(RestContext& context, WriteCall& call) {
  JsonObjectReader reader(call.body, "token", UnknownKeys::kRefuse);
  CreateToken create;
  create.max_uses =
      reader.OptionalInt("max_uses", {.min = 1, .max = kMaxTokenUses}).value_or(create.max_uses);
  create.valid = std::chrono::seconds(
      reader.OptionalInt("expires_s", {.min = 1, .max = kMaxTokenValid.count()})
          .value_or(create.valid.count()));
  create.pool = reader.OptionalString("pool", {.max = 63}).value_or(create.pool);
  reader.Merge(Annotate(CheckName("pool", create.pool), "token.pool"));
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  context.coordinator->tokens().Create(call.who, std::move(create), std::move(call.options),
                                       std::move(call.done));
  return absl::OkStatus();
}

}  // namespace

void AddTokenRoutes(Router& router, RestContext& context) {
  router.Add("GET", "/v1/tokens",
             ReadRoute(context, [&context](const Principal& who, Request& request) {
               const absl::StatusOr<ListQuery> query = ListQueryOf(request);
               return query.ok() ? context.coordinator->tokens().List(who, *query)
                                 : absl::StatusOr<Rendered>(query.status());
             }));
  router.Add("GET", "/v1/tokens/{id}",
             ReadRoute(context, [&context](const Principal& who, Request& request) {
               return context.coordinator->tokens().Get(who, request.Param("id"));
             }));
  router.Add("POST", "/v1/tokens",
             WriteRoute(context, api::kHttpCreated,
                        [&context](WriteCall& call) { return Create(context, call); }));
  router.Add("DELETE", "/v1/tokens/{id}",
             WriteRoute(context, api::kHttpOk, [&context](WriteCall& call) {
               context.coordinator->tokens().Revoke(call.who, call.request.Param("id"),
                                                    std::move(call.options), std::move(call.done));
               return absl::OkStatus();
             }));
}

}  // namespace bramble::controller
