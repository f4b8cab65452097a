// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/json_fields.h"

namespace bramble::api {

// RFC 9457, application/problem+json.  `code` is stable and for programs: the status code in
// snake_case ("invalid_argument", "not_found" …) unless the status bears a finer one.
struct Problem {
  int status = 500;  // HTTP
  std::string code;
  std::string title;
  std::string detail;  // names the object, the cause and the next step
};

inline constexpr char kProblemMediaType[] = "application/problem+json";

// The only place that knows HTTP status numbers.  kAborted is a stale If-Match (412), kOutOfRange
// a cursor past retention (410).
int HttpStatusOf(absl::StatusCode code);
Problem ProblemOf(const absl::Status& status);
absl::Status StatusOf(const Problem& problem);

// Sets the finer code that ProblemOf puts into `code`.
absl::Status WithCode(absl::Status status, std::string_view code);

json::object ToJson(const Problem& problem);
absl::StatusOr<Problem> ProblemFromJson(const json::value& value, std::string path = "problem");

}  // namespace bramble::api
