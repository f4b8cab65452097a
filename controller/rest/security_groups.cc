// SPDX-License-Identifier: Apache-2.0
// /v1/security-groups.
#include "api/http_status.h"
#include "api/json_lists.h"
#include "base/status.h"
#include "controller/coordinator_security_groups.h"
#include "controller/rest/routes.h"

namespace bramble::controller {
namespace {

ProjectKey KeyOf(const Request& request) { return {.name = request.Param("name")}; }

absl::Status Create(RestContext& context, WriteCall& call) {
  BRAMBLE_ASSIGN_OR_RETURN(
      api::SecurityGroup group,
      api::SecurityGroupFromJson(call.body, "security group", UnknownKeys::kRefuse));
  context.coordinator->security_groups().Create(call.who, std::move(group), std::move(call.options),
                                                std::move(call.done));
  return absl::OkStatus();
}

std::vector<api::SecurityRule> RulesField(JsonObjectReader& reader, std::string_view key) {
  const auto read = [](const json::value& value, std::string path) {
    return api::SecurityRuleFromJson(value, std::move(path), UnknownKeys::kRefuse);
  };
  return api::ObjectList<api::SecurityRule>(reader, key, api::kMaxRulesPerGroup, read);
}

// {"description", "rules": […]} replace; {"add": […], "remove": […]} change the rules there are.
absl::Status Alter(RestContext& context, WriteCall& call) {
  JsonObjectReader reader(call.body, "security group", UnknownKeys::kRefuse);
  SecurityGroupService::Update update;
  update.description = reader.OptionalString("description", {.max = 256});
  if (reader.Has("rules")) {
    update.rules = RulesField(reader, "rules");
  }
  update.add = RulesField(reader, "add");
  update.remove = RulesField(reader, "remove");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  context.coordinator->security_groups().Alter(call.who, KeyOf(call.request), std::move(update),
                                               std::move(call.options), std::move(call.done));
  return absl::OkStatus();
}

}  // namespace

void AddSecurityGroupRoutes(Router& router, RestContext& context) {
  router.Add("GET", "/v1/security-groups",
             ReadRoute(context, [&context](const Principal& who, Request& request) {
               const absl::StatusOr<ListQuery> query = ListQueryOf(request);
               return query.ok() ? context.coordinator->security_groups().List(who, *query)
                                 : absl::StatusOr<Rendered>(query.status());
             }));
  router.Add("GET", "/v1/security-groups/{name}",
             ReadRoute(context, [&context](const Principal& who, Request& request) {
               return context.coordinator->security_groups().Get(who, KeyOf(request));
             }));
  router.Add("POST", "/v1/security-groups",
             WriteRoute(context, api::kHttpCreated,
                        [&context](WriteCall& call) { return Create(context, call); }));
  router.Add("PATCH", "/v1/security-groups/{name}",
             WriteRoute(context, api::kHttpOk,
                        [&context](WriteCall& call) { return Alter(context, call); }));
  router.Add("DELETE", "/v1/security-groups/{name}",
             WriteRoute(context, api::kHttpOk, [&context](WriteCall& call) {
               context.coordinator->security_groups().Delete(
                   call.who, KeyOf(call.request), std::move(call.options), std::move(call.done));
               return absl::OkStatus();
             }));
}

}  // namespace bramble::controller
