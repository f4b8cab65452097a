// SPDX-License-Identifier: Apache-2.0
// /v1/flavors.
#include "api/http_status.h"
#include "base/status.h"
#include "controller/coordinator_flavors.h"
#include "controller/rest/routes.h"

namespace bramble::controller {
namespace {

absl::Status Create(RestContext& context, WriteCall& call) {
  JsonObjectReader reader(call.body, "flavor", UnknownKeys::kRefuse);
  api::Flavor flavor;
  flavor.name = reader.Parsed<FlavorName>("name");
  if (const json::value* resources = reader.Find("resources"); resources == nullptr) {
    reader.Fail("resources", "missing");
  } else {
    JsonObjectReader sizes(*resources, "flavor.resources", UnknownKeys::kRefuse);
    flavor.resources.cpu.count = sizes.Int("cpu_milli", {.min = 10, .max = 1'000'000});
    flavor.resources.memory.count = sizes.Int("memory_bytes", {.min = 4 * kMiB});
    flavor.resources.disk.count = sizes.OptionalInt("disk_bytes", {.min = 0}).value_or(0);
    flavor.resources.pids = sizes.OptionalInt("pids", {.min = 0, .max = 4'194'304}).value_or(0);
    reader.Merge(sizes.Finish());
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  context.coordinator->flavors().Create(call.who, std::move(flavor), std::move(call.options),
                                        std::move(call.done));
  return absl::OkStatus();
}

}  // namespace

void AddFlavorRoutes(Router& router, RestContext& context) {
  router.Add("GET", "/v1/flavors",
             ReadRoute(context, [&context](const Principal& who, Request& request) {
               const absl::StatusOr<ListQuery> query = ListQueryOf(request);
               return query.ok() ? context.coordinator->flavors().List(who, *query)
                                 : absl::StatusOr<Rendered>(query.status());
             }));
  router.Add("GET", "/v1/flavors/{name}",
             ReadRoute(context, [&context](const Principal& who, Request& request) {
               return context.coordinator->flavors().Get(who, request.Param("name"));
             }));
  router.Add("POST", "/v1/flavors",
             WriteRoute(context, api::kHttpCreated,
                        [&context](WriteCall& call) { return Create(context, call); }));
  router.Add("DELETE", "/v1/flavors/{name}",
             WriteRoute(context, api::kHttpOk, [&context](WriteCall& call) {
               context.coordinator->flavors().Delete(call.who, call.request.Param("name"),
                                                     std::move(call.options), std::move(call.done));
               return absl::OkStatus();
             }));
}

}  // namespace bramble::controller
