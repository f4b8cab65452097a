// SPDX-License-Identifier: Apache-2.0
// /v1/uploads: files that come over as many requests as it takes.  POST /v1/images?upload=ID makes
// an image of one.
#include <charconv>

#include "api/http_status.h"
#include "base/status.h"
#include "controller/images/upload_store.h"
#include "controller/rest/routes.h"

namespace bramble::controller {
namespace {

// "bytes FIRST-LAST/SIZE" (RFC 9110, section 14.4).
struct ContentRange {
  int64_t first = 0;
  int64_t last = 0;
  int64_t size = 0;
};

absl::StatusOr<ContentRange> ParseContentRange(std::string_view header) {
  const absl::Status bad =
      absl::InvalidArgumentError("Content-Range: write \"bytes FIRST-LAST/SIZE\"");
  constexpr std::string_view kUnit = "bytes ";
  if (!header.starts_with(kUnit)) {
    return bad;
  }
  header.remove_prefix(kUnit.size());
  ContentRange range;
  const auto number = [&header](int64_t& out, char end) {
    const char* const stop = header.data() + header.size();
    const auto read = std::from_chars(header.data(), stop, out);
    if (read.ec != std::errc() || header.starts_with('-') ||
        (end == '\0' ? read.ptr != stop : read.ptr == stop || *read.ptr != end)) {
      return false;
    }
    header.remove_prefix(static_cast<size_t>(read.ptr - header.data()) + (end == '\0' ? 0 : 1));
    return true;
  };
  if (!number(range.first, '-') || !number(range.last, '/') || !number(range.size, '\0') ||
      range.last < range.first || range.last >= range.size) {
    return bad;
  }
  return range;
}

json::object ToJson(const UploadAbout& about) {
  json::object object = {{"id", about.id},
                         {"size_bytes", about.size},
                         {"offset", about.offset},
                         {"expires_at", FormatTime(about.expires_at)}};
  if (!about.expected.empty()) {
    object["sha256"] = about.expected;
  }
  return object;
}

Response AboutResponse(int status, const absl::StatusOr<UploadAbout>& about) {
  return about.ok() ? JsonResponse(status, ToJson(*about)) : ProblemResponse(about.status());
}

absl::Status CheckWriter(const Principal& who) {
  return May(who, Access::kWrite, api::kDefaultProject) ? absl::OkStatus() : NotFound("upload", "");
}

asio::awaitable<Response> Begin(RestContext& context, Principal who, Request& request) {
  if (const absl::Status may = CheckWriter(who); !may.ok()) {
    co_return ProblemResponse(may);
  }
  const absl::StatusOr<json::value> body =
      JsonBodyOf(request, static_cast<size_t>(context.limits.body.count));
  if (!body.ok()) {
    co_return ProblemResponse(body.status());
  }
  JsonObjectReader reader(*body, "upload", UnknownKeys::kRefuse);
  const int64_t size = reader.Int("size_bytes", {.min = 0});
  std::string expected = reader.OptionalString("sha256", {.max = 64}).value_or("");
  if (const absl::Status read = reader.Finish(); !read.ok()) {
    co_return ProblemResponse(read);
  }
  const absl::StatusOr<UploadAbout> about =
      co_await context.uploads->Begin(who.id, size, std::move(expected));
  Response response = AboutResponse(api::kHttpCreated, about);
  if (about.ok()) {
    response.headers.Add("Location", StrCat("/v1/uploads/", about->id));
  }
  co_return response;
}

asio::awaitable<absl::Status> WriteBody(UploadStore::Append& append, RequestBody& body) {
  while (true) {
    BRAMBLE_CO_ASSIGN_OR_RETURN(std::string piece, co_await body.Read());
    if (piece.empty()) {
      co_return absl::OkStatus();
    }
    const absl::Status written = co_await append.Write(std::move(piece));
    BRAMBLE_CO_RETURN_IF_ERROR(written);
  }
}

asio::awaitable<Response> Continue(RestContext& context, Principal who, Request& request) {
  const std::string id = request.Param("id");
  const absl::StatusOr<UploadAbout> about = context.uploads->Get(who.id, id);
  const absl::StatusOr<ContentRange> range =
      ParseContentRange(request.headers.Get("Content-Range"));
  if (!about.ok() || !range.ok()) {
    co_return ProblemResponse(about.ok() ? range.status() : about.status());
  }
  const std::optional<uint64_t> length = request.body_stream->length();
  const auto said = static_cast<uint64_t>(range->last - range->first + 1);
  if (range->size != about->size || length.value_or(said) != said) {
    co_return ProblemResponse(absl::InvalidArgumentError(
        StrCat("Content-Range: the upload has ", about->size, " bytes and this body ",
               length.value_or(said), "; the header says ", range->size, " and ", said)));
  }
  absl::StatusOr<std::unique_ptr<UploadStore::Append>> append =
      context.uploads->BeginAppend(who.id, id, range->first);
  if (!append.ok()) {
    co_return ProblemResponse(append.status());
  }
  const absl::Status written = co_await WriteBody(**append, *request.body_stream);
  // Also of what was cut off: the next one goes on behind it.
  const absl::StatusOr<UploadAbout> kept = co_await (*append)->End();
  co_return written.ok() ? AboutResponse(api::kHttpOk, kept) : ProblemResponse(written);
}

}  // namespace

void AddUploadRoutes(Router& router, RestContext& context) {
  const auto coroutine = [&context](auto function) {
    return AuthorisedRoute(context, [&context, function](Principal who, Request& request) {
      return function(context, std::move(who), request);
    });
  };
  router.Add("POST", "/v1/uploads", coroutine(Begin));
  Route go_on = coroutine(Continue);
  go_on.body = BodyMode::kStream;
  go_on.max_body_bytes = static_cast<uint64_t>(context.limits.image.count);
  router.Add("PATCH", "/v1/uploads/{id}", std::move(go_on));
  const auto direct = [&context](auto answer) {
    Route route;
    route.direct = [&context, answer](Request& request) {
      const absl::StatusOr<Principal> who = PrincipalOf(context, request);
      return who.ok() ? answer(*who, request) : ProblemResponse(who.status());
    };
    return route;
  };
  router.Add("GET", "/v1/uploads", direct([&context](const Principal& who, Request&) {
               json::array items;
               for (const UploadAbout& about : context.uploads->List(who.id)) {
                 items.push_back(ToJson(about));
               }
               return JsonResponse(api::kHttpOk, {{"items", std::move(items)}});
             }));
  router.Add("GET", "/v1/uploads/{id}", direct([&context](const Principal& who, Request& request) {
               return AboutResponse(api::kHttpOk,
                                    context.uploads->Get(who.id, request.Param("id")));
             }));
  router.Add("DELETE", "/v1/uploads/{id}",
             direct([&context](const Principal& who, Request& request) {
               const absl::Status removed = context.uploads->Remove(who.id, request.Param("id"));
               Response response;
               response.status = api::kHttpNoContent;
               return removed.ok() ? response : ProblemResponse(removed);
             }));
}

}  // namespace bramble::controller
