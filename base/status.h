// SPDX-License-Identifier: Apache-2.0
#pragma once

// How a failure travels: absl::Status and StatusOr, with the macros that Abseil 20220623 lacks.
//
//   BRAMBLE_RETURN_IF_ERROR(expr)              return expr's status unless it is OK
//   BRAMBLE_ASSIGN_OR_RETURN(auto x, expr)     x = *expr, or return its status
//   BRAMBLE_CO_RETURN_IF_ERROR, BRAMBLE_CO_ASSIGN_OR_RETURN   the same in a coroutine
//
// In a coroutine, name the awaited value first where it is more than a plain call (STYLE C4).

#include <string>
#include <string_view>
#include <utility>

#include "base/strings.h"

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define BRAMBLE_STATUS_CONCAT_INNER(a, b) a##b
#define BRAMBLE_STATUS_CONCAT(a, b) BRAMBLE_STATUS_CONCAT_INNER(a, b)

#define BRAMBLE_RETURN_IF_ERROR_WITH(return_keyword, ...)                               \
  do {                                                                                  \
    if (auto bramble_status = ::bramble::AsStatus(__VA_ARGS__); !bramble_status.ok()) { \
      return_keyword bramble_status;                                                    \
    }                                                                                   \
  } while (false)
#define BRAMBLE_RETURN_IF_ERROR(...) BRAMBLE_RETURN_IF_ERROR_WITH(return, __VA_ARGS__)
#define BRAMBLE_CO_RETURN_IF_ERROR(...) BRAMBLE_RETURN_IF_ERROR_WITH(co_return, __VA_ARGS__)

#define BRAMBLE_ASSIGN_OR_RETURN_WITH(return_keyword, temp, lhs, ...) \
  auto temp = (__VA_ARGS__);                                          \
  if (!temp.ok()) {                                                   \
    return_keyword std::move(temp).status();                          \
  }                                                                   \
  lhs = *std::move(temp)
#define BRAMBLE_ASSIGN_OR_RETURN(lhs, ...)                                                 \
  BRAMBLE_ASSIGN_OR_RETURN_WITH(return, BRAMBLE_STATUS_CONCAT(bramble_or_, __LINE__), lhs, \
                                      __VA_ARGS__)
#define BRAMBLE_CO_ASSIGN_OR_RETURN(lhs, ...)                                                 \
  BRAMBLE_ASSIGN_OR_RETURN_WITH(co_return, BRAMBLE_STATUS_CONCAT(bramble_or_, __LINE__), lhs, \
                                __VA_ARGS__)

namespace bramble {

inline absl::Status AsStatus(absl::Status status) { return status; }
template <typename T>
absl::Status AsStatus(const absl::StatusOr<T>& value) {
  return value.status();
}

// `status` with `context` and ": " put before its message; OK stays OK.
absl::Status Annotate(const absl::Status& status, std::string_view context);

// The status for `errno_value` with "context: strerror" as message.  ENOENT is kNotFound, ENOSPC
// and EDQUOT kResourceExhausted, EACCES and EPERM kPermissionDenied, EEXIST kAlreadyExists, EIO
// kDataLoss, EAGAIN, EINTR and connection errors kUnavailable, the rest kInternal.
absl::Status ErrnoStatus(int errno_value, std::string_view context);

}  // namespace bramble
