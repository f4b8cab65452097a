// SPDX-License-Identifier: Apache-2.0
#include "api/key.h"

#include "api/public_key.h"
#include "base/status.h"

namespace bramble::api {

json::object ToJson(const Key& key) {
  return {{"name", key.name},
          {"project", key.project.str()},
          {"generation", key.generation},
          {"created_at", FormatTime(key.created_at)},
          {"type", key.type},
          {"bits", key.bits},
          {"fingerprint", key.fingerprint},
          {"comment", key.comment},
          {"public_key", key.public_key}};
}

absl::StatusOr<Key> KeyFromJson(const json::value& value, std::string path, UnknownKeys unknown) {
  JsonObjectReader reader(value, std::move(path), unknown);
  Key key;
  key.name = reader.String("name");
  key.project = reader.Parsed<ProjectName>("project");
  key.generation = static_cast<uint64_t>(reader.OptionalInt("generation", {.min = 0}).value_or(1));
  key.created_at = TimeField(reader, "created_at");
  key.type = reader.String("type");
  key.bits = reader.Int("bits", {.min = 0});
  key.fingerprint = reader.String("fingerprint");
  key.comment = reader.OptionalString("comment", {.max = kMaxPublicKeyBytes}).value_or("");
  key.public_key = reader.String("public_key", {.max = kMaxPublicKeyBytes});
  reader.Merge(CheckName("key", key.name));
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return key;
}

}  // namespace bramble::api
