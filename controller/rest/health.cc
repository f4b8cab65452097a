// SPDX-License-Identifier: Apache-2.0
// /healthz, /readyz, /metrics and /v1/openapi.yaml.
#include <unistd.h>

#include <array>
#include <cstdio>

#include "api/http_status.h"
#include "api/problem.h"
#include "base/status.h"
#include "controller/images/blob_store.h"
#include "controller/rest/embedded.h"
#include "controller/rest/routes.h"

namespace bramble::controller {
namespace {

Response TextResponse(std::string_view type, std::string text) {
  Response response;
  response.status = api::kHttpOk;
  response.content_type = type;
  response.body = std::move(text);
  return response;
}

// Resident memory in bytes: proc(5), /proc/self/statm, second field, in pages.
int64_t ResidentBytes() {
  long pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "re")) {
    long total = 0;
    if (std::fscanf(file, "%ld %ld", &total, &pages) != 2) {
      pages = 0;
    }
    std::fclose(file);
  }
  return pages * ::sysconf(_SC_PAGESIZE);
}

// Prometheus's text format, version 0.0.4.
class Metrics {
 public:
  void Add(std::string_view name, std::string_view type, std::string_view help) {
    text_ += StrCat("# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n");
  }
  template <typename Number>
  void Value(std::string_view name, std::string_view labels, Number value) {
    text_ += StrCat(name, labels, " ", value, "\n");
  }
  template <typename Number>
  void Gauge(std::string_view name, std::string_view help, Number value) {
    Add(name, "gauge", help);
    Value(name, "", value);
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

template <size_t kCount>
void AddStates(Metrics& metrics, std::string_view name, std::string_view help,
               const std::string_view (&names)[kCount], const std::array<int64_t, kCount>& counts) {
  metrics.Add(name, "gauge", help);
  for (size_t i = 0; i < kCount; ++i) {
    metrics.Value(name, StrCat("{state=\"", names[i], "\"}"), counts[i]);
  }
}

Response GetMetrics(RestContext& context, Request& request) {
  if (const absl::StatusOr<Principal> who = PrincipalOf(context, request); !who.ok()) {
    return ProblemResponse(who.status());
  }
  const State& state = context.coordinator->state();
  std::array<int64_t, std::size(api::kNodeStateNames)> nodes{};
  for (const auto& [id, entry] : state.nodes().entries()) {
    ++nodes[static_cast<size_t>(entry.record.api.state)];
  }
  std::array<int64_t, std::size(api::kContainerStateNames)> containers{};
  for (const auto& [id, entry] : state.containers().entries()) {
    ++containers[static_cast<size_t>(entry.record.api.status.state)];
  }
  std::array<int64_t, std::size(api::kOperationStateNames)> operations{};
  for (const auto& [id, entry] : state.operations().entries()) {
    ++operations[static_cast<size_t>(entry.record.api.state)];
  }
  Metrics metrics;
  AddStates(metrics, "bramble_nodes", "Nodes by state.", api::kNodeStateNames, nodes);
  AddStates(metrics, "bramble_containers", "Containers by state.", api::kContainerStateNames,
            containers);
  AddStates(metrics, "bramble_operations", "Kept operations by state.", api::kOperationStateNames,
            operations);
  metrics.Gauge("bramble_images", "Images.", state.images().size());
  metrics.Gauge("bramble_epoch", "The cluster's epoch.", state.cluster().epoch);
  metrics.Gauge("bramble_revision", "The store's revision.", state.revision());
  metrics.Gauge("bramble_image_blob_bytes", "Bytes of image blobs on disk.",
                context.blobs->total_bytes());
  metrics.Gauge("process_resident_memory_bytes", "Resident memory of the controller.",
                ResidentBytes());
  return TextResponse("text/plain; version=0.0.4; charset=utf-8", metrics.Take());
}

// Ready: a write would be taken.  The store knows of the last one, the disk says of the next.
asio::awaitable<Response> GetReady(RestContext& context) {
  absl::Status ready = context.coordinator->Ready();
  if (ready.ok()) {
    std::function<absl::Status()> check = context.check_room;
    const absl::Status room = co_await context.files.Run(std::move(check));
    if (!room.ok()) {
      ready = absl::UnavailableError(room.message());
    }
  }
  if (!ready.ok()) {
    co_return ProblemResponse(api::WithCode(
        absl::UnavailableError(StrCat("not ready: ", MessageOf(ready))), "not_ready"));
  }
  co_return TextResponse("text/plain", "ready\n");
}

Route DirectRoute(DirectHandler direct) {
  Route route;
  route.direct = std::move(direct);
  return route;
}

}  // namespace

void AddHealthRoutes(Router& router, RestContext& context) {
  router.Add("GET", "/healthz",
             DirectRoute([](Request&) { return TextResponse("text/plain", "ok\n"); }));
  Route ready;
  ready.handler = [&context](Request&) { return GetReady(context); };
  router.Add("GET", "/readyz", std::move(ready));
  router.Add("GET", "/metrics",
             DirectRoute([&context](Request& request) { return GetMetrics(context, request); }));
  router.Add("GET", "/v1/openapi.yaml", DirectRoute([](Request&) {
               return TextResponse("application/yaml", std::string(kOpenapiYaml));
             }));
}

}  // namespace bramble::controller
