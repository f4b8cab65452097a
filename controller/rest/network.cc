// SPDX-License-Identifier: Apache-2.0
// /v1/network, /v1/addresses and /v1/projects.
#include "api/http_status.h"
#include "base/status.h"
#include "controller/coordinator_network.h"
#include "controller/rest/routes.h"

namespace bramble::controller {
namespace {

absl::Status Alter(RestContext& context, WriteCall& call) {
  BRAMBLE_ASSIGN_OR_RETURN(api::NetworkPatch patch, api::NetworkPatchFromJson(call.body));
  context.coordinator->network().Alter(call.who, std::move(patch), std::move(call.options),
                                       std::move(call.done));
  return absl::OkStatus();
}

absl::Status Reserve(RestContext& context, WriteCall& call) {
  BRAMBLE_ASSIGN_OR_RETURN(api::Reservation reservation,
                           api::ReservationFromJson(call.body, "address", UnknownKeys::kRefuse));
  context.coordinator->network().Reserve(call.who, std::move(reservation), std::move(call.options),
                                         std::move(call.done));
  return absl::OkStatus();
}

absl::Status ChangeProject(RestContext& context, WriteCall& call) {
  JsonObjectReader reader(call.body, "project", UnknownKeys::kRefuse);
  const bool auto_floating_ip = reader.Bool("auto_floating_ip");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  context.coordinator->network().ChangeProject(call.who, call.request.Param("name"),
                                               auto_floating_ip, std::move(call.options),
                                               std::move(call.done));
  return absl::OkStatus();
}

void AddProjectRoutes(Router& router, RestContext& context) {
  router.Add("GET", "/v1/projects",
             ReadRoute(context, [&context](const Principal& who, Request& request) {
               const absl::StatusOr<ListQuery> query = ListQueryOf(request);
               return query.ok() ? context.coordinator->network().ListProjects(who, *query)
                                 : absl::StatusOr<Rendered>(query.status());
             }));
  router.Add("GET", "/v1/projects/{name}",
             ReadRoute(context, [&context](const Principal& who, Request& request) {
               return context.coordinator->network().GetProject(who, request.Param("name"));
             }));
  router.Add("PATCH", "/v1/projects/{name}",
             WriteRoute(context, api::kHttpOk,
                        [&context](WriteCall& call) { return ChangeProject(context, call); }));
}

void AddAddressRoutes(Router& router, RestContext& context) {
  router.Add("GET", "/v1/addresses",
             ReadRoute(context, [&context](const Principal& who, Request& request) {
               const absl::StatusOr<ListQuery> query = ListQueryOf(request);
               return query.ok() ? context.coordinator->network().Addresses(who, *query)
                                 : absl::StatusOr<Rendered>(query.status());
             }));
  router.Add("POST", "/v1/addresses",
             WriteRoute(context, api::kHttpCreated,
                        [&context](WriteCall& call) { return Reserve(context, call); }));
  router.Add("DELETE", "/v1/addresses/{name}",
             WriteRoute(context, api::kHttpOk, [&context](WriteCall& call) {
               context.coordinator->network().Release(call.who, call.request.Param("name"),
                                                      std::move(call.options),
                                                      std::move(call.done));
               return absl::OkStatus();
             }));
}

}  // namespace

void AddNetworkRoutes(Router& router, RestContext& context) {
  router.Add("GET", "/v1/network", ReadRoute(context, [&context](const Principal& who, Request&) {
               return context.coordinator->network().Get(who);
             }));
  router.Add("GET", "/v1/network/findings",
             ReadRoute(context, [&context](const Principal& who, Request&) {
               return context.coordinator->network().Findings(who);
             }));
  router.Add("PATCH", "/v1/network", WriteRoute(context, api::kHttpOk, [&context](WriteCall& call) {
               return Alter(context, call);
             }));
  router.Add("POST", "/v1/network/plan",
             AskRoute(context,
                      [&context](const Principal& who,
                                 const json::value& body) -> absl::StatusOr<Rendered> {
                        BRAMBLE_ASSIGN_OR_RETURN(const api::NetworkPatch patch,
                                                 api::NetworkPatchFromJson(body));
                        return context.coordinator->network().Plan(who, patch);
                      }));
  AddAddressRoutes(router, context);
  AddProjectRoutes(router, context);
}

}  // namespace bramble::controller
