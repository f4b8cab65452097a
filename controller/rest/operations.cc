// SPDX-License-Identifier: Apache-2.0
// /v1/operations.
#include "api/http_status.h"
#include "base/status.h"
#include "base/timer.h"
#include "controller/coordinator_events.h"
#include "controller/coordinator_operations.h"
#include "controller/rest/routes.h"

namespace bramble::controller {
namespace {

using std::chrono::steady_clock;

constexpr int64_t kMaxWaitSeconds = 60;
// An operation may end without an event of its own: look again at least this often.
constexpr std::chrono::milliseconds kLookAgain{200};

bool Finished(const RestContext& context, const std::string& id) {
  const OperationRecord* record = context.coordinator->state().operations().Find(id);
  return record == nullptr || record->api.finished();
}

asio::awaitable<void> WaitUntilFinished(RestContext& context, std::string id,
                                        steady_clock::time_point until) {
  Event changed(context.loop);
  const auto subscription = context.coordinator->events().Subscribe([&changed] { changed.Set(); });
  while (!Finished(context, id) && steady_clock::now() < until) {
    changed.Reset();
    const auto left = until - steady_clock::now();
    co_await changed.WaitFor(std::min<steady_clock::duration>(left, kLookAgain));
  }
}

asio::awaitable<Response> GetOperation(RestContext& context, Principal who, Request& request) {
  const std::string id = request.Param("id");
  const absl::StatusOr<std::optional<int64_t>> wait =
      IntQuery(request, "wait", {.min = 0, .max = kMaxWaitSeconds});
  if (!wait.ok()) {
    co_return ProblemResponse(wait.status());
  }
  absl::StatusOr<Rendered> operation = context.coordinator->operations().Get(who, id);
  if (operation.ok() && wait->value_or(0) > 0) {
    co_await WaitUntilFinished(context, id,
                               steady_clock::now() + std::chrono::seconds(wait->value_or(0)));
    operation = context.coordinator->operations().Get(who, id);
  }
  if (!operation.ok()) {
    co_return ProblemResponse(operation.status());
  }
  Response response;
  response.status = api::kHttpOk;
  response.headers.Add("ETag", context.tags.Of(*operation));
  response.body = operation->body;
  co_return response;
}

}  // namespace

void AddOperationRoutes(Router& router, RestContext& context) {
  router.Add("GET", "/v1/operations",
             ReadRoute(context, [&context](const Principal& who, Request& request) {
               const absl::StatusOr<ListQuery> query = ListQueryOf(request);
               return query.ok() ? context.coordinator->operations().List(who, *query)
                                 : absl::StatusOr<Rendered>(query.status());
             }));
  router.Add("GET", "/v1/operations/{id}",
             AuthorisedRoute(context, [&context](Principal who, Request& request) {
               return GetOperation(context, std::move(who), request);
             }));
  router.Add("POST", "/v1/operations/{id}/cancel",
             WriteRoute(context, api::kHttpAccepted, [&context](WriteCall& call) {
               context.coordinator->operations().Cancel(call.who, call.request.Param("id"),
                                                        std::move(call.options),
                                                        std::move(call.done));
               return absl::OkStatus();
             }));
}

}  // namespace bramble::controller
