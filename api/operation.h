// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/json_fields.h"

namespace bramble::api {

// What an operation or an event is about.
struct ObjectReference {
  std::string kind;  // "container", "node", "image" …
  std::string id;
  std::string name;
  std::string project;

  friend bool operator==(const ObjectReference&, const ObjectReference&) = default;
};

enum class OperationState { kPending, kRunning, kSucceeded, kFailed, kCancelled };
inline constexpr std::string_view kOperationStateNames[] = {"pending", "running", "succeeded",
                                                            "failed", "cancelled"};

// Something that takes time: GET /v1/operations/{id}.
struct Operation {
  OperationId id;
  std::string kind;  // "container.create", "node.drain" …
  ObjectReference object;
  OperationState state = OperationState::kPending;
  int64_t percent = 0;
  std::string message;     // what it does or waits for now
  std::string error_code;  // of a failed one: Problem's code
  std::string error;       // and its detail
  json::value result;      // of a succeeded one
  std::string created_by;
  WallTime created_at{};
  WallTime updated_at{};

  bool finished() const { return state >= OperationState::kSucceeded; }
};

// One change, as /v1/events streams it.  `revision` is the store's and is the SSE id.
struct Event {
  uint64_t revision = 0;
  WallTime time{};
  std::string type;  // "container.created", "node.unreachable" …
  ObjectReference object;
  std::string actor;  // who caused it: "user:admin", "node:pi-1", "controller"
  std::string message;
  json::value data;
};

json::object ToJson(const ObjectReference& object);
absl::StatusOr<ObjectReference> ObjectReferenceFromJson(const json::value& value, std::string path);
json::object ToJson(const Operation& operation);
absl::StatusOr<Operation> OperationFromJson(const json::value& value,
                                            std::string path = "operation",
                                            UnknownKeys unknown = UnknownKeys::kIgnore);
json::object ToJson(const Event& event);
// The text of that, made without it: there is one for every write.
std::string Encode(const Event& event);
absl::StatusOr<Event> EventFromJson(const json::value& value, std::string path = "event",
                                    UnknownKeys unknown = UnknownKeys::kIgnore);

}  // namespace bramble::api
