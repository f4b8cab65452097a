// SPDX-License-Identifier: Apache-2.0
// /v1/nodes.
#include "api/http_status.h"
#include "base/status.h"
#include "controller/coordinator_nodes.h"
#include "controller/rest/routes.h"

namespace bramble::controller {
namespace {

constexpr int64_t kMaxDrainSeconds = 86'400;
constexpr int64_t kMaxDrainPace = 64;
constexpr int64_t kMaxIdentifySeconds = 600;

const std::string& KeyOf(const WriteCall& call) { return call.request.Param("name"); }

absl::Status Approve(RestContext& context, WriteCall& call) {
  JsonObjectReader reader(call.body, "approval", UnknownKeys::kRefuse);
  std::string code = reader.String("code", {.max = 32, .allow_empty = false});
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  context.coordinator->nodes().Approve(call.who, KeyOf(call), std::move(code),
                                       std::move(call.options), std::move(call.done));
  return absl::OkStatus();
}

absl::Status Drain(RestContext& context, WriteCall& call) {
  JsonObjectReader reader(call.body, "drain", UnknownKeys::kRefuse);
  DrainRequest request;
  request.deadline = std::chrono::seconds(
      reader.OptionalInt("deadline_s", {.min = 1, .max = kMaxDrainSeconds}).value_or(600));
  request.pace =
      reader.OptionalInt("pace", {.min = 1, .max = kMaxDrainPace}).value_or(request.pace);
  request.leave_pinned = reader.OptionalBool("leave_pinned").value_or(false);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  context.coordinator->nodes().Drain(call.who, KeyOf(call), request, std::move(call.options),
                                     std::move(call.done));
  return absl::OkStatus();
}

absl::Status Replace(RestContext& context, WriteCall& call) {
  JsonObjectReader reader(call.body, "replacement", UnknownKeys::kRefuse);
  const NodeName by = reader.Parsed<NodeName>("by");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  context.coordinator->nodes().Replace(call.who, KeyOf(call), by.str(), std::move(call.options),
                                       std::move(call.done));
  return absl::OkStatus();
}

absl::Status Command(RestContext& context, const std::string& verb, WriteCall& call) {
  JsonObjectReader reader(call.body, verb, UnknownKeys::kRefuse);
  json::object arguments;
  if (verb == "identify") {
    arguments["seconds"] =
        reader.OptionalInt("seconds", {.min = 1, .max = kMaxIdentifySeconds}).value_or(15);
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  context.coordinator->nodes().Command(call.who, KeyOf(call), verb, std::move(arguments),
                                       std::move(call.options), std::move(call.done));
  return absl::OkStatus();
}

absl::Status Remove(RestContext& context, WriteCall& call) {
  BRAMBLE_RETURN_IF_ERROR(RefuseOtherQueries(call.request, {"force"}));
  BRAMBLE_ASSIGN_OR_RETURN(const bool force, BoolQuery(call.request, "force"));
  context.coordinator->nodes().Remove(call.who, KeyOf(call), force, std::move(call.options),
                                      std::move(call.done));
  return absl::OkStatus();
}

void AddReads(Router& router, RestContext& context) {
  router.Add("GET", "/v1/nodes",
             ReadRoute(context, [&context](const Principal& who, Request& request) {
               const absl::StatusOr<ListQuery> query = ListQueryOf(request);
               return query.ok() ? context.coordinator->nodes().List(who, *query)
                                 : absl::StatusOr<Rendered>(query.status());
             }));
  router.Add("GET", "/v1/nodes/{name}",
             ReadRoute(context, [&context](const Principal& who, Request& request) {
               return context.coordinator->nodes().Get(who, request.Param("name"));
             }));
}

}  // namespace

void AddNodeRoutes(Router& router, RestContext& context) {
  AddReads(router, context);
  const auto add = [&router, &context](std::string_view method, std::string_view path,
                                       WriteFunction write) {
    router.Add(method, path, WriteRoute(context, api::kHttpOk, std::move(write)));
  };
  add("PATCH", "/v1/nodes/{name}", [&context](WriteCall& call) {
    context.coordinator->nodes().Update(call.who, KeyOf(call), std::move(call.body),
                                        std::move(call.options), std::move(call.done));
    return absl::OkStatus();
  });
  add("DELETE", "/v1/nodes/{name}", [&context](WriteCall& call) { return Remove(context, call); });
  add("POST", "/v1/nodes/{name}/approve",
      [&context](WriteCall& call) { return Approve(context, call); });
  add("POST", "/v1/nodes/{name}/drain",
      [&context](WriteCall& call) { return Drain(context, call); });
  add("POST", "/v1/nodes/{name}/restore", [&context](WriteCall& call) {
    context.coordinator->nodes().Restore(call.who, KeyOf(call), std::move(call.options),
                                         std::move(call.done));
    return absl::OkStatus();
  });
  add("POST", "/v1/nodes/{name}/reset", [&context](WriteCall& call) {
    context.coordinator->nodes().Reset(call.who, KeyOf(call), std::move(call.options),
                                       std::move(call.done));
    return absl::OkStatus();
  });
  add("POST", "/v1/nodes/{name}/replace",
      [&context](WriteCall& call) { return Replace(context, call); });
  for (const std::string verb : {"reboot", "poweroff", "identify"}) {
    add("POST", StrCat("/v1/nodes/{name}/", verb),
        [&context, verb](WriteCall& call) { return Command(context, verb, call); });
  }
}

}  // namespace bramble::controller
