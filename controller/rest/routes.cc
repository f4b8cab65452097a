// SPDX-License-Identifier: Apache-2.0
#include "controller/rest/routes.h"

#include <algorithm>

#include "api/http_status.h"
#include "api/problem.h"
#include "base/encoding.h"
#include "base/hash.h"
#include "base/status.h"
#include "controller/one_shot.h"

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"

namespace bramble::controller {
namespace {

constexpr size_t kMaxFilterBytes = 4096;

// Quotes what a client sent, for an error message.
std::string Shown(std::string_view text) {
  return StrCat("\"", absl::CHexEscape(ToAbsl(text.substr(0, 64))), "\"");
}

Response RenderedResponse(RestContext& context, const Request& request,
                          const absl::StatusOr<Rendered>& rendered) {
  if (!rendered.ok()) {
    return ProblemResponse(rendered.status());
  }
  Response response;
  std::string tag = context.tags.Of(*rendered);
  const std::string_view if_none_match = request.headers.Get("If-None-Match");
  if (!if_none_match.empty() && MatchesTag(if_none_match, tag)) {
    response.status = api::kHttpNotModified;
  } else {
    response.status = api::kHttpOk;
    response.body = rendered->body;
  }
  response.headers.Add("ETag", tag);
  return response;
}

asio::awaitable<Response> RunWrite(RestContext& context, int status, WriteFunction write,
                                   Request& request) {
  const absl::StatusOr<Principal> who = PrincipalOf(context, request);
  if (!who.ok()) {
    co_return ProblemResponse(who.status());
  }
  absl::StatusOr<WriteOptions> options = WriteOptionsOf(request);
  if (!options.ok()) {
    co_return ProblemResponse(options.status());
  }
  absl::StatusOr<json::value> body = JsonBodyOf(request, context.limits.body.count);
  if (!body.ok()) {
    co_return ProblemResponse(body.status());
  }
  OneShot<absl::StatusOr<Written>> written(context.loop);
  WriteCall call{.who = *who,
                 .request = request,
                 .body = *std::move(body),
                 .options = *std::move(options),
                 .done = written.Taker()};
  if (absl::Status started = write(call); !started.ok()) {
    co_return ProblemResponse(started);
  }
  const absl::StatusOr<Written> result = co_await written.Wait(kWriteLimit, request.path);
  co_return WrittenResponse(context, status, result);
}

asio::awaitable<Response> RunAuthorised(RestContext& context, AuthorisedHandler handler,
                                        Request& request) {
  absl::StatusOr<Principal> who = PrincipalOf(context, request);
  if (!who.ok()) {
    co_return ProblemResponse(who.status());
  }
  co_return co_await handler(*std::move(who), request);
}

}  // namespace

Route ReadRoute(RestContext& context, ReadFunction read) {
  Route route;
  route.direct = [&context, read = std::move(read)](Request& request) {
    const absl::StatusOr<Principal> who = PrincipalOf(context, request);
    if (!who.ok()) {
      return ProblemResponse(who.status());
    }
    return RenderedResponse(context, request, read(*who, request));
  };
  return route;
}

Route AskRoute(RestContext& context, AskFunction ask) {
  Route route;
  route.direct = [&context, ask = std::move(ask)](Request& request) {
    const auto answer = [&]() -> absl::StatusOr<Rendered> {
      BRAMBLE_ASSIGN_OR_RETURN(const Principal who, PrincipalOf(context, request));
      BRAMBLE_ASSIGN_OR_RETURN(const json::value body,
                               JsonBodyOf(request, context.limits.body.count));
      return ask(who, body);
    };
    const absl::StatusOr<Rendered> rendered = answer();
    if (!rendered.ok()) {
      return ProblemResponse(rendered.status());
    }
    Response response;
    response.status = api::kHttpOk;
    response.body = rendered->body;
    return response;
  };
  return route;
}

Route WriteRoute(RestContext& context, int status, WriteFunction write) {
  Route route;
  route.handler = [&context, status, write = std::move(write)](Request& request) {
    return RunWrite(context, status, write, request);
  };
  route.max_body_bytes = context.limits.body.count;
  return route;
}

Route AuthorisedRoute(RestContext& context, AuthorisedHandler handler) {
  Route route;
  route.handler = [&context, handler = std::move(handler)](Request& request) {
    return RunAuthorised(context, handler, request);
  };
  return route;
}

absl::StatusOr<Principal> PrincipalOf(RestContext& context, const Request& request) {
  constexpr std::string_view kScheme = "bearer ";
  const std::string_view header = request.headers.Get("Authorization");
  if (header.size() > kScheme.size() &&
      EqualIgnoringCase(header.substr(0, kScheme.size()), kScheme)) {
    absl::StatusOr<Principal> who =
        context.coordinator->Authenticate(header.substr(kScheme.size()));
    if (who.ok()) {
      return who;
    }
  }
  return absl::UnauthenticatedError(
      "this needs an API token that is valid here: send \"Authorization: Bearer TOKEN\", or get a "
      "token with `bramble cluster init`");
}

absl::StatusOr<ListQuery> ListQueryOf(const Request& request) {
  BRAMBLE_RETURN_IF_ERROR(RefuseOtherQueries(request, {"limit", "cursor", "filter"}));
  ListQuery query;
  BRAMBLE_ASSIGN_OR_RETURN(
      const std::optional<int64_t> limit,
      IntQuery(request, "limit", {.min = 1, .max = static_cast<int64_t>(kMaxPage)}));
  query.limit = static_cast<size_t>(limit.value_or(0));
  query.cursor = std::string(request.Query("cursor").value_or(""));
  query.filter = std::string(request.Query("filter").value_or(""));
  if (query.filter.size() > kMaxFilterBytes) {
    return absl::InvalidArgumentError(
        StrCat("filter: longer than ", kMaxFilterBytes, " bytes; give fewer terms"));
  }
  return query;
}

absl::StatusOr<WriteOptions> WriteOptionsOf(const Request& request, std::string_view body_digest) {
  WriteOptions options;
  BRAMBLE_ASSIGN_OR_RETURN(options.if_match, GenerationOf(request.headers.Get("If-Match")));
  const std::string_view key = request.headers.Get("Idempotency-Key");
  if (key.empty()) {
    return options;
  }
  const bool printable =
      std::all_of(key.begin(), key.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (!printable || key.size() > kMaxIdempotencyKey) {
    return absl::InvalidArgumentError(StrCat("Idempotency-Key: write 1 to ", kMaxIdempotencyKey,
                                             " printable ASCII characters without spaces"));
  }
  options.idempotency_key = std::string(key);
  options.request_fingerprint =
      Sha256(StrCat(request.method, "\n", request.target, "\n", request.headers.Get("If-Match"),
                    "\n", body_digest.empty() ? std::string_view(request.body) : body_digest))
          .Hex();
  return options;
}

absl::StatusOr<json::value> JsonBodyOf(const Request& request, size_t max_bytes) {
  if (request.body.empty()) {
    return json::value(json::object());
  }
  if (!IsUtf8(request.body)) {
    return absl::InvalidArgumentError("request body: not UTF-8");
  }
  absl::StatusOr<json::value> body = ParseJson(request.body, max_bytes);
  if (!body.ok()) {
    return Annotate(body.status(), "request body");
  }
  if (!body->is_object()) {
    return absl::InvalidArgumentError("request body: expected a JSON object");
  }
  return body;
}

absl::Status RefuseOtherQueries(const Request& request,
                                std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : request.query) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      std::string all;
      for (const std::string_view each : known) {
        all = StrCat(all, all.empty() ? "" : ", ", each);
      }
      return absl::InvalidArgumentError(
          StrCat("query parameter ", Shown(key),
                 " is not known here; known: ", all.empty() ? "none" : all));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<int64_t>> IntQuery(const Request& request, std::string_view key,
                                                IntLimits limits) {
  const std::optional<std::string_view> text = request.Query(key);
  if (!text.has_value()) {
    return std::nullopt;
  }
  int64_t number = 0;
  if (!absl::SimpleAtoi(ToAbsl(*text), &number) || number < limits.min || number > limits.max) {
    return absl::InvalidArgumentError(StrCat(
        "query parameter \"", key, "\": expected a number from ", limits.min, " to ", limits.max));
  }
  return number;
}

absl::StatusOr<bool> BoolQuery(const Request& request, std::string_view key) {
  const std::optional<std::string_view> text = request.Query(key);
  if (!text.has_value() || *text == "false" || *text == "0") {
    return false;
  }
  if (*text == "true" || *text == "1" || text->empty()) {
    return true;
  }
  return absl::InvalidArgumentError(
      StrCat("query parameter \"", key, "\": expected true or false"));
}

Response ProblemResponse(const absl::Status& status) {
  const api::Problem problem = api::ProblemOf(status);
  Response response;
  response.status = problem.status;
  response.content_type = api::kProblemMediaType;
  response.body = json::serialize(api::ToJson(problem));
  if (status.code() == absl::StatusCode::kUnauthenticated) {
    response.headers.Add("WWW-Authenticate", "Bearer realm=\"bramble\"");
  }
  if (status.code() == absl::StatusCode::kUnavailable) {
    response.headers.Add("Retry-After", "1");
  }
  return response;
}

Response JsonResponse(int status, json::object object) {
  Response response;
  response.status = status;
  response.body = json::serialize(object);
  return response;
}

Response WrittenResponse(RestContext& context, int status, const absl::StatusOr<Written>& written) {
  if (!written.ok()) {
    return ProblemResponse(written.status());
  }
  Response response;
  if (written->operation != nullptr) {
    response.status = api::kHttpAccepted;
    response.headers.Add("Location", StrCat("/v1/operations/", written->operation_id.str()));
    response.body = written->operation;
  } else if (written->object != nullptr) {
    response.status = status;
    response.headers.Add(
        "ETag", context.tags.Of({.body = written->object, .generation = written->generation}));
    response.body = written->object;
  } else {
    response.status = api::kHttpNoContent;
  }
  return response;
}

}  // namespace bramble::controller
