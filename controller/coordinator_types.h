// SPDX-License-Identifier: Apache-2.0
#pragma once

// What all subjects of the coordinator take and give.

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "controller/model/principal.h"
#include "controller/model/records.h"

#include "absl/status/statusor.h"

namespace bramble::controller {

// An object or a page of a list, rendered: the body of the answer, shared and never changed.
struct Rendered {
  SharedText body;
  uint64_t generation = 0;  // of one object: its ETag; of a list: 0
};

// `filter` is what api/openapi.yaml says: "state=running,label.app!=web"; which keys there are
// depends on the list, and an unknown one is kInvalidArgument.  A page is {"items": […],
// "next_cursor": "…"}, the latter absent on the last.
struct ListQuery {
  std::string filter;
  size_t limit = 0;    // 0: kMaxPage
  std::string cursor;  // of the page before
};
inline constexpr size_t kMaxPage = 1000;

struct WriteOptions {
  std::optional<uint64_t> if_match;
  std::string idempotency_key;      // at most kMaxIdempotencyKey bytes
  std::string request_fingerprint;  // method, path and body, hashed: what the key stands for
};
inline constexpr size_t kMaxIdempotencyKey = 64;
// How long the answer to a keyed write is kept, unless as many keyed writes came after it: each
// answer is 1 to 2 KiB in memory.  api/openapi.yaml promises both numbers.
inline constexpr std::chrono::hours kIdempotencyKept{24};
inline constexpr size_t kMaxIdempotencyRows = 20'000;

// What a durable write answers.
struct Written {
  SharedText object;        // the object as it is now; null when it is gone
  uint64_t generation = 0;  // its ETag
  SharedText operation;     // what goes on still (answer 202 with it); null when nothing does
  OperationId operation_id;
};
using WriteDone = std::function<void(absl::StatusOr<Written>)>;

}  // namespace bramble::controller
