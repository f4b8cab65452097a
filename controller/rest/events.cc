// SPDX-License-Identifier: Apache-2.0
// /v1/events: server-sent events (WHATWG HTML, section 9.2), or a list.
#include "api/http_status.h"
#include "base/status.h"
#include "base/timer.h"
#include "controller/coordinator_events.h"
#include "controller/rest/routes.h"

#include "absl/strings/numbers.h"

namespace bramble::controller {
namespace {

constexpr size_t kBatch = 256;
constexpr std::chrono::seconds kKeepAlive{15};

// Several events may share a revision: only the last bears the id, so that a client that resumes
// has seen all of them.
std::string FrameOf(const std::vector<EventService::Seen>& seen) {
  std::string text;
  for (size_t i = 0; i < seen.size(); ++i) {
    const bool last = i + 1 == seen.size() || seen[i + 1].revision != seen[i].revision;
    if (last) {
      text += StrCat("id: ", seen[i].revision, "\n");
    }
    text += StrCat("event: ", seen[i].type, "\ndata: ", *seen[i].body, "\n\n");
  }
  return text;
}

// Until the client is gone, or too slow for what is kept.
asio::awaitable<absl::Status> StreamEvents(RestContext& context, Principal who, uint64_t after,
                                           ResponseWriter& out) {
  Event changed(context.loop);
  const auto subscription = context.coordinator->events().Subscribe([&changed] { changed.Set(); });
  // An id of its own: who is cut off before the first event comes back to here.
  std::string begin = StrCat("retry: 2000\nid: ", after, "\n\n");
  BRAMBLE_CO_RETURN_IF_ERROR(co_await out.Write(std::move(begin)));
  while (true) {
    changed.Reset();
    const absl::StatusOr<std::vector<EventService::Seen>> seen =
        context.coordinator->events().Since(who, after, kBatch);
    BRAMBLE_CO_RETURN_IF_ERROR(seen.status());
    if (!seen->empty()) {
      after = seen->back().revision;
      std::string frame = FrameOf(*seen);
      BRAMBLE_CO_RETURN_IF_ERROR(co_await out.Write(std::move(frame)));
      continue;
    }
    if (!co_await changed.WaitFor(kKeepAlive)) {
      BRAMBLE_CO_RETURN_IF_ERROR(co_await out.Write(": alive\n\n"));
    }
  }
}

absl::StatusOr<std::optional<uint64_t>> AfterOf(const Request& request) {
  std::string_view text = request.headers.Get("Last-Event-ID");
  if (text.empty()) {
    text = request.Query("after").value_or("");
  }
  if (text.empty()) {
    return std::nullopt;
  }
  uint64_t after = 0;
  if (!absl::SimpleAtoi(ToAbsl(text), &after)) {
    return absl::InvalidArgumentError(
        "Last-Event-ID: expected the number that an event bore as its id");
  }
  return after;
}

Response ListEvents(RestContext& context, const Principal& who, Request& request,
                    std::optional<uint64_t> after) {
  const absl::StatusOr<std::optional<int64_t>> limit =
      IntQuery(request, "limit", {.min = 1, .max = static_cast<int64_t>(kMaxPage)});
  if (!limit.ok()) {
    return ProblemResponse(limit.status());
  }
  EventService& events = context.coordinator->events();
  const size_t count = static_cast<size_t>(limit->value_or(kMaxPage));
  absl::StatusOr<std::vector<EventService::Seen>> seen =
      events.Since(who, after.value_or(0), count);
  if (!after.has_value() && absl::IsOutOfRange(seen.status())) {
    // Nothing was asked for that is gone: begin with the oldest that is kept.
    seen = events.Since(who, context.coordinator->state().events_begin(), count);
  }
  if (!seen.ok()) {
    return ProblemResponse(seen.status());
  }
  std::string body = "{\"items\":[";
  for (const EventService::Seen& each : *seen) {
    body += StrCat(body.back() == '[' ? "" : ",", *each.body);
  }
  body += "]";
  if (seen->size() >= count) {
    body += StrCat(",\"next_cursor\":\"", seen->back().revision, "\"");
  }
  Response response;
  response.status = api::kHttpOk;
  response.body = body + StrCat(",\"revision\":", events.Newest(), "}");
  return response;
}

Response GetEvents(RestContext& context, Request& request) {
  absl::StatusOr<Principal> who = PrincipalOf(context, request);
  if (!who.ok()) {
    return ProblemResponse(who.status());
  }
  if (absl::Status status = RefuseOtherQueries(request, {"after", "cursor", "limit"});
      !status.ok()) {
    return ProblemResponse(status);
  }
  absl::StatusOr<std::optional<uint64_t>> after = AfterOf(request);
  if (!after.ok()) {
    return ProblemResponse(after.status());
  }
  if (request.headers.Get("Accept").find("text/event-stream") == std::string_view::npos) {
    return ListEvents(context, *who, request, *after);
  }
  const uint64_t from = after->value_or(context.coordinator->events().Newest());
  if (const auto kept = context.coordinator->events().Since(*who, from, 1); !kept.ok()) {
    return ProblemResponse(kept.status());
  }
  Response response;
  response.status = api::kHttpOk;
  response.content_type = "text/event-stream";
  response.headers.Add("Cache-Control", "no-store");
  StreamBody stream = [&context, who = *std::move(who), from](ResponseWriter& out) {
    return StreamEvents(context, who, from, out);
  };
  response.body = std::move(stream);
  return response;
}

}  // namespace

void AddEventRoutes(Router& router, RestContext& context) {
  Route route;
  route.direct = [&context](Request& request) { return GetEvents(context, request); };
  router.Add("GET", "/v1/events", std::move(route));
}

}  // namespace bramble::controller
