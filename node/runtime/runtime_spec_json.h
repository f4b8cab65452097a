// SPDX-License-Identifier: Apache-2.0
#pragma once

// JSON of node/runtime/runtime_spec.h, and of a failure that crosses a process boundary.  Readers
// refuse what no writer of ours writes: control characters, ranges of another size, long texts.

#include <string>

#include "base/json.h"
#include "node/runtime/runtime_spec.h"

#include "absl/status/statusor.h"

namespace bramble::node {

json::object ToJson(const RuntimeSpec& spec);
absl::StatusOr<RuntimeSpec> RuntimeSpecFromJson(const json::value& value, std::string path);

json::object ToJson(const RuntimeContainer& container);
absl::StatusOr<RuntimeContainer> RuntimeContainerFromJson(const json::value& value,
                                                          std::string path);

json::object ToJson(const FirstStart& first);
// What is below `key`; none when it is absent.
FirstStart FirstStartField(JsonObjectReader& outer, std::string_view key);

json::object ToJson(const RuntimeUsage& usage);
absl::StatusOr<RuntimeUsage> RuntimeUsageFromJson(const json::value& value, std::string path);

json::object ToJson(const RuntimeExit& exit);
absl::StatusOr<RuntimeExit> RuntimeExitFromJson(const json::value& value, std::string path);

// {"code": "FAILED_PRECONDITION", "message": …}
json::object StatusToJson(const absl::Status& status);
// kInternal when it is none, or names no code.
absl::Status StatusFromJson(const json::value& value);

}  // namespace bramble::node
