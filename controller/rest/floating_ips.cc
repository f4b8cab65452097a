// SPDX-License-Identifier: Apache-2.0
// /v1/floating-ips and /v1/port-forwards.
#include "api/http_status.h"
#include "base/status.h"
#include "controller/coordinator_floating_ips.h"
#include "controller/coordinator_port_forwards.h"
#include "controller/rest/routes.h"

namespace bramble::controller {
namespace {

absl::Status Attach(RestContext& context, WriteCall& call) {
  BRAMBLE_ASSIGN_OR_RETURN(api::AttachFloatingIp request, api::AttachFloatingIpFromJson(call.body));
  context.coordinator->floating_ips().Attach(call.who, std::move(request), std::move(call.options),
                                             std::move(call.done));
  return absl::OkStatus();
}

absl::Status Detach(RestContext& context, WriteCall& call) {
  BRAMBLE_RETURN_IF_ERROR(RefuseOtherQueries(call.request, {"force"}));
  FloatingIpService::Detachment detachment{.address = call.request.Param("address")};
  BRAMBLE_ASSIGN_OR_RETURN(detachment.force, BoolQuery(call.request, "force"));
  context.coordinator->floating_ips().Detach(call.who, detachment, std::move(call.options),
                                             std::move(call.done));
  return absl::OkStatus();
}

absl::Status AddForward(RestContext& context, WriteCall& call) {
  BRAMBLE_ASSIGN_OR_RETURN(
      api::PortForward forward,
      api::PortForwardFromJson(call.body, "port forward", UnknownKeys::kRefuse));
  context.coordinator->port_forwards().Add(call.who, std::move(forward), std::move(call.options),
                                           std::move(call.done));
  return absl::OkStatus();
}

}  // namespace

void AddFloatingIpRoutes(Router& router, RestContext& context) {
  router.Add("GET", "/v1/floating-ips",
             ReadRoute(context, [&context](const Principal& who, Request& request) {
               const absl::StatusOr<ListQuery> query = ListQueryOf(request);
               return query.ok() ? context.coordinator->floating_ips().List(who, *query)
                                 : absl::StatusOr<Rendered>(query.status());
             }));
  router.Add("GET", "/v1/floating-ips/{address}",
             ReadRoute(context, [&context](const Principal& who, Request& request) {
               return context.coordinator->floating_ips().Get(who, request.Param("address"));
             }));
  router.Add("POST", "/v1/floating-ips",
             WriteRoute(context, api::kHttpCreated,
                        [&context](WriteCall& call) { return Attach(context, call); }));
  router.Add("DELETE", "/v1/floating-ips/{address}",
             WriteRoute(context, api::kHttpOk,
                        [&context](WriteCall& call) { return Detach(context, call); }));
}

void AddPortForwardRoutes(Router& router, RestContext& context) {
  router.Add("GET", "/v1/port-forwards",
             ReadRoute(context, [&context](const Principal& who, Request& request) {
               const absl::StatusOr<ListQuery> query = ListQueryOf(request);
               return query.ok() ? context.coordinator->port_forwards().List(who, *query)
                                 : absl::StatusOr<Rendered>(query.status());
             }));
  router.Add("POST", "/v1/port-forwards",
             WriteRoute(context, api::kHttpCreated,
                        [&context](WriteCall& call) { return AddForward(context, call); }));
  router.Add("DELETE", "/v1/port-forwards/{name}",
             WriteRoute(context, api::kHttpOk, [&context](WriteCall& call) {
               context.coordinator->port_forwards().Delete(call.who, call.request.Param("name"),
                                                           std::move(call.options),
                                                           std::move(call.done));
               return absl::OkStatus();
             }));
}

}  // namespace bramble::controller
