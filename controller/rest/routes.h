// SPDX-License-Identifier: Apache-2.0
#pragma once

// The shapes that nearly every route has: a read, a question, a write, and a coroutine of its own;
// with reading of the request and rendering of the answer.

#include <chrono>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "base/http_server.h"
#include "base/json.h"
#include "controller/rest/rest_context.h"

namespace bramble::controller {

inline constexpr std::chrono::milliseconds kWriteLimit{30'000};

// ---- Routes

// Answers 200 with what `read` gives, its ETag, or 304.
using ReadFunction =
    std::function<absl::StatusOr<Rendered>(const Principal& who, Request& request)>;
Route ReadRoute(RestContext& context, ReadFunction read);

// A POST that changes nothing: answers 200 with what `ask` makes of the body.
using AskFunction =
    std::function<absl::StatusOr<Rendered>(const Principal& who, const json::value& body)>;
Route AskRoute(RestContext& context, AskFunction ask);

struct WriteCall {
  const Principal& who;
  Request& request;
  json::value body;  // {} when the request has none
  WriteOptions options;
  WriteDone done;
};
// `write` either returns an error, or has handed `done` to a service.  The answer is 202 with the
// operation when there is one, else `status` with the object, else 204.
using WriteFunction = std::function<absl::Status(WriteCall& call)>;
Route WriteRoute(RestContext& context, int status, WriteFunction write);

// Any other coroutine, given who asks.
using AuthorisedHandler = std::function<asio::awaitable<Response>(Principal who, Request& request)>;
Route AuthorisedRoute(RestContext& context, AuthorisedHandler handler);

// ---- Requests

// Whoever the request's bearer token proves, or the one kUnauthenticated answer.
absl::StatusOr<Principal> PrincipalOf(RestContext& context, const Request& request);
// `limit`, `cursor` and `filter`; other parameters are refused by name.
absl::StatusOr<ListQuery> ListQueryOf(const Request& request);
// If-Match and Idempotency-Key; `body_digest` stands for the body where it was not read whole.
absl::StatusOr<WriteOptions> WriteOptionsOf(const Request& request,
                                            std::string_view body_digest = "");
absl::StatusOr<json::value> JsonBodyOf(const Request& request, size_t max_bytes);

absl::Status RefuseOtherQueries(const Request& request,
                                std::initializer_list<std::string_view> known);
struct IntLimits {
  int64_t min = 0;
  int64_t max = INT64_MAX;
};
absl::StatusOr<std::optional<int64_t>> IntQuery(const Request& request, std::string_view key,
                                                IntLimits limits);
// "true", "1" and an empty value are true; "false" and "0" and no such parameter are false.
absl::StatusOr<bool> BoolQuery(const Request& request, std::string_view key);

// ---- Answers

Response ProblemResponse(const absl::Status& status);
Response JsonResponse(int status, json::object object);
Response WrittenResponse(RestContext& context, int status, const absl::StatusOr<Written>& written);

}  // namespace bramble::controller
