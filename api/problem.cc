// SPDX-License-Identifier: Apache-2.0
#include "api/problem.h"

#include <array>

#include "base/status.h"

#include "absl/strings/cord.h"

namespace bramble::api {
namespace {

constexpr char kCodePayload[] = "bramble/code";

struct Row {
  absl::StatusCode status;
  int http;
  std::string_view code;
  std::string_view title;
};

// The one table between status codes, HTTP (RFC 9110, section 15) and our stable codes.
constexpr auto kRows = std::to_array<Row>({
    {absl::StatusCode::kInvalidArgument, 400, "invalid_argument", "Invalid request"},
    {absl::StatusCode::kUnauthenticated, 401, "unauthenticated", "Not logged in"},
    {absl::StatusCode::kPermissionDenied, 403, "permission_denied", "Not allowed"},
    {absl::StatusCode::kNotFound, 404, "not_found", "Not found"},
    {absl::StatusCode::kAlreadyExists, 409, "already_exists", "Already exists"},
    {absl::StatusCode::kFailedPrecondition, 409, "failed_precondition", "Wrong state"},
    {absl::StatusCode::kOutOfRange, 410, "gone", "No longer available"},
    {absl::StatusCode::kAborted, 412, "stale", "Changed in the meantime"},
    {absl::StatusCode::kResourceExhausted, 429, "resource_exhausted", "No room"},
    {absl::StatusCode::kCancelled, 499, "cancelled", "Cancelled"},
    {absl::StatusCode::kInternal, 500, "internal", "A fault of Bramble"},
    {absl::StatusCode::kUnknown, 500, "unknown", "A fault of Bramble"},
    {absl::StatusCode::kDataLoss, 500, "data_loss", "Stored data is damaged"},
    {absl::StatusCode::kUnimplemented, 501, "unimplemented", "Not supported"},
    {absl::StatusCode::kUnavailable, 503, "unavailable", "Try again"},
    {absl::StatusCode::kDeadlineExceeded, 504, "deadline_exceeded", "Took too long"},
});

const Row& RowOf(absl::StatusCode code) {
  for (const Row& row : kRows) {
    if (row.status == code) {
      return row;
    }
  }
  return RowOf(absl::StatusCode::kInternal);
}

}  // namespace

int HttpStatusOf(absl::StatusCode code) {
  return code == absl::StatusCode::kOk ? 200 : RowOf(code).http;
}

Problem ProblemOf(const absl::Status& status) {
  const Row& row = RowOf(status.code());
  Problem problem{.status = row.http,
                  .code = std::string(row.code),
                  .title = std::string(row.title),
                  .detail = std::string(status.message())};
  if (const auto payload = status.GetPayload(kCodePayload)) {
    problem.code = std::string(*payload);
  }
  return problem;
}

absl::Status StatusOf(const Problem& problem) {
  // The number decides, and our code where several statuses share it.
  const Row* best = nullptr;
  for (const Row& row : kRows) {
    if (row.http == problem.status && (best == nullptr || row.code == problem.code)) {
      best = &row;
    }
  }
  const absl::StatusCode code = best == nullptr ? absl::StatusCode::kUnknown : best->status;
  const std::string& message = problem.detail.empty() ? problem.title : problem.detail;
  return WithCode(absl::Status(code, message), problem.code);
}

absl::Status WithCode(absl::Status status, std::string_view code) {
  status.SetPayload(kCodePayload, absl::Cord(ToAbsl(code)));
  return status;
}

json::object ToJson(const Problem& problem) {
  return {{"type", "about:blank"},
          {"status", problem.status},
          {"code", problem.code},
          {"title", problem.title},
          {"detail", problem.detail}};
}

absl::StatusOr<Problem> ProblemFromJson(const json::value& value, std::string path) {
  JsonObjectReader reader(value, std::move(path));
  const StringLimits text = {.max = 65536, .allow_control = true};
  Problem problem;
  problem.status = static_cast<int>(reader.Int("status", {.min = 100, .max = 599}));
  problem.code = reader.OptionalString("code", text).value_or("");
  problem.title = reader.OptionalString("title", text).value_or("");
  problem.detail = reader.OptionalString("detail", text).value_or("");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return problem;
}

}  // namespace bramble::api
