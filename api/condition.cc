// SPDX-License-Identifier: Apache-2.0
#include "api/condition.h"

#include "base/status.h"

namespace bramble::api {
namespace {

constexpr size_t kMaxConditions = 64;

}  // namespace

json::object ToJson(const Condition& condition) {
  return {
      {"type", condition.type}, {"severity", condition.severity}, {"message", condition.message}};
}

absl::StatusOr<Condition> ConditionFromJson(const json::value& value, std::string path) {
  JsonObjectReader reader(value, std::move(path));
  Condition condition;
  condition.type = reader.String("type", {.max = 63});
  condition.severity = reader.String("severity", {.max = 20});
  condition.message = reader.OptionalString("message").value_or("");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return condition;
}

std::vector<Condition> ConditionsField(JsonObjectReader& reader, std::string_view key) {
  std::vector<Condition> conditions;
  for (const json::value* value : reader.List(key, kMaxConditions)) {
    absl::StatusOr<Condition> condition = ConditionFromJson(*value, reader.PathOf(key));
    if (!condition.ok()) {
      reader.Merge(condition.status());
      break;
    }
    conditions.push_back(*std::move(condition));
  }
  return conditions;
}

json::array ToJson(const std::vector<Condition>& conditions) {
  json::array array;
  for (const Condition& condition : conditions) {
    array.push_back(ToJson(condition));
  }
  return array;
}

}  // namespace bramble::api
