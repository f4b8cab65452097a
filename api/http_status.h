// SPDX-License-Identifier: Apache-2.0
#pragma once

// The HTTP numbers of what went well (RFC 9110, section 15); those of what did not are
// api/problem.cc's.
namespace bramble::api {

inline constexpr int kHttpOk = 200;
inline constexpr int kHttpCreated = 201;
inline constexpr int kHttpAccepted = 202;
inline constexpr int kHttpNoContent = 204;
inline constexpr int kHttpNotModified = 304;

}  // namespace bramble::api
