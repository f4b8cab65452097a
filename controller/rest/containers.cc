// SPDX-License-Identifier: Apache-2.0
// /v1/containers and /v1/plan.
#include "api/http_status.h"
#include "base/status.h"
#include "controller/coordinator_containers.h"
#include "controller/rest/routes.h"

namespace bramble::controller {
namespace {

ContainerKey KeyOf(const Request& request) { return {.name_or_id = request.Param("name")}; }

// The body of POST /v1/containers and /v1/plan: the spec's fields, flat, with `name`.
absl::StatusOr<CreateContainer> CreateContainerOf(const json::value& body) {
  CreateContainer create;
  json::object fields = body.as_object();
  JsonObjectReader reader(body, "container");
  create.name = reader.Parsed<ContainerName>("name");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  fields.erase("name");
  if (const json::value* context = fields.if_contains("context"); context != nullptr) {
    BRAMBLE_ASSIGN_OR_RETURN(
        create.context, api::ContextFromJson(*context, "container.context", UnknownKeys::kRefuse));
    fields.erase("context");
  }
  for (const std::string_view ours : {"restart_count", "rebuild_count"}) {
    if (fields.contains(ours)) {
      return absl::InvalidArgumentError(
          StrCat("container.", ours, ": counted by the controller; leave it out"));
    }
  }
  BRAMBLE_ASSIGN_OR_RETURN(create.spec,
                           api::ContainerSpecFromJson(json::value(std::move(fields)), "container",
                                                      UnknownKeys::kRefuse));
  return create;
}

absl::Status RefuseBody(const WriteCall& call) {
  if (!call.body.as_object().empty()) {
    return absl::InvalidArgumentError("request body: this takes none; leave it out");
  }
  return absl::OkStatus();
}

void AddVerb(Router& router, RestContext& context, ContainerVerb verb) {
  const std::string_view name = kContainerVerbNames[static_cast<size_t>(verb)];
  router.Add("POST", StrCat("/v1/containers/{name}/", name),
             WriteRoute(context, api::kHttpOk, [&context, verb](WriteCall& call) {
               BRAMBLE_RETURN_IF_ERROR(RefuseBody(call));
               context.coordinator->containers().Act(call.who, KeyOf(call.request), verb,
                                                     std::move(call.options), std::move(call.done));
               return absl::OkStatus();
             }));
}

Route PlanRoute(RestContext& context) {
  return AskRoute(
      context,
      [&context](const Principal& who, const json::value& body) -> absl::StatusOr<Rendered> {
        BRAMBLE_ASSIGN_OR_RETURN(const CreateContainer create, CreateContainerOf(body));
        return context.coordinator->containers().Plan(who, create);
      });
}

}  // namespace

void AddContainerRoutes(Router& router, RestContext& context) {
  router.Add("GET", "/v1/containers",
             ReadRoute(context, [&context](const Principal& who, Request& request) {
               const absl::StatusOr<ListQuery> query = ListQueryOf(request);
               return query.ok() ? context.coordinator->containers().List(who, *query)
                                 : absl::StatusOr<Rendered>(query.status());
             }));
  router.Add("GET", "/v1/containers/{name}",
             ReadRoute(context, [&context](const Principal& who, Request& request) {
               return context.coordinator->containers().Get(who, KeyOf(request));
             }));
  router.Add("POST", "/v1/containers",
             WriteRoute(context, api::kHttpCreated, [&context](WriteCall& call) {
               BRAMBLE_ASSIGN_OR_RETURN(CreateContainer create, CreateContainerOf(call.body));
               context.coordinator->containers().Create(
                   call.who, std::move(create), std::move(call.options), std::move(call.done));
               return absl::OkStatus();
             }));
  router.Add("PATCH", "/v1/containers/{name}",
             WriteRoute(context, api::kHttpOk, [&context](WriteCall& call) {
               context.coordinator->containers().Update(
                   call.who, KeyOf(call.request), std::move(call.body), std::move(call.options),
                   std::move(call.done));
               return absl::OkStatus();
             }));
  router.Add("DELETE", "/v1/containers/{name}",
             WriteRoute(context, api::kHttpOk, [&context](WriteCall& call) {
               BRAMBLE_RETURN_IF_ERROR(RefuseBody(call));
               context.coordinator->containers().Delete(
                   call.who, KeyOf(call.request), std::move(call.options), std::move(call.done));
               return absl::OkStatus();
             }));
  for (const ContainerVerb verb :
       {ContainerVerb::kStart, ContainerVerb::kStop, ContainerVerb::kRestart,
        ContainerVerb::kFreeze, ContainerVerb::kUnfreeze, ContainerVerb::kRebuild}) {
    AddVerb(router, context, verb);
  }
  router.Add("POST", "/v1/plan", PlanRoute(context));
}

}  // namespace bramble::controller
