// SPDX-License-Identifier: Apache-2.0
#include "api/operation.h"

#include <algorithm>

#include "base/status.h"

namespace bramble::api {
namespace {

json::string_view Name(std::string_view text) { return {text.data(), text.size()}; }

ObjectReference ObjectField(JsonObjectReader& reader) {
  const json::value* value = reader.Find("object");
  if (value == nullptr) {
    reader.Fail("object", "missing");
    return {};
  }
  absl::StatusOr<ObjectReference> object = ObjectReferenceFromJson(*value, reader.PathOf("object"));
  reader.Merge(object.status());
  return std::move(object).value_or(ObjectReference{});
}

json::value ValueField(JsonObjectReader& reader, std::string_view key) {
  const json::value* value = reader.Find(key);
  return value == nullptr ? json::value() : *value;
}

}  // namespace

json::object ToJson(const ObjectReference& object) {
  return {
      {"kind", object.kind}, {"id", object.id}, {"name", object.name}, {"project", object.project}};
}

absl::StatusOr<ObjectReference> ObjectReferenceFromJson(const json::value& value,
                                                        std::string path) {
  JsonObjectReader reader(value, std::move(path));
  ObjectReference object;
  object.kind = reader.String("kind");
  object.id = reader.OptionalString("id").value_or("");
  object.name = reader.OptionalString("name").value_or("");
  object.project = reader.OptionalString("project").value_or("");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return object;
}

json::object ToJson(const Operation& operation) {
  json::object object = {
      {"id", operation.id.str()},
      {"kind", operation.kind},
      {"object", ToJson(operation.object)},
      {"state", Name(kOperationStateNames[static_cast<size_t>(operation.state)])},
      {"percent", operation.percent},
      {"message", operation.message},
      {"created_by", operation.created_by},
      {"created_at", FormatTime(operation.created_at)},
      {"updated_at", FormatTime(operation.updated_at)}};
  if (!operation.error_code.empty()) {
    object["error"] = {{"code", operation.error_code}, {"detail", operation.error}};
  }
  if (!operation.result.is_null()) {
    object["result"] = operation.result;
  }
  return object;
}

absl::StatusOr<Operation> OperationFromJson(const json::value& value, std::string path,
                                            UnknownKeys unknown) {
  JsonObjectReader reader(value, std::move(path), unknown);
  Operation operation;
  operation.id = reader.Parsed<OperationId>("id");
  operation.kind = reader.String("kind");
  operation.object = ObjectField(reader);
  operation.state = EnumField<OperationState>(reader, "state", kOperationStateNames);
  operation.percent = reader.Int("percent", {.min = 0, .max = 100});
  operation.message = reader.OptionalString("message").value_or("");
  operation.created_by = reader.OptionalString("created_by").value_or("");
  operation.created_at = TimeField(reader, "created_at");
  operation.updated_at = TimeField(reader, "updated_at");
  operation.result = ValueField(reader, "result");
  if (const json::value* error = reader.Find("error")) {
    JsonObjectReader error_reader(*error, reader.PathOf("error"), unknown);
    operation.error_code = error_reader.String("code");
    operation.error = error_reader.String("detail", {.max = 65536, .allow_control = true});
    reader.Merge(error_reader.Finish());
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return operation;
}

json::object ToJson(const Event& event) {
  json::object object = {{"revision", event.revision}, {"time", FormatTime(event.time)},
                         {"type", event.type},         {"object", ToJson(event.object)},
                         {"actor", event.actor},       {"message", event.message}};
  if (!event.data.is_null()) {
    object["data"] = event.data;
  }
  return object;
}

namespace {

void AppendJson(std::string& out, std::string_view text) {
  const bool plain = std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return c >= 0x20 && c != 0x7f && c != '"' && c != '\\';
  });
  if (plain) {
    out += '"';
    out += text;
    out += '"';
  } else {
    out += json::serialize(json::string_view(text.data(), text.size()));
  }
}

}  // namespace

std::string Encode(const Event& event) {
  std::string text = StrCat("{\"revision\":", event.revision);
  const auto add = [&text](std::string_view key, std::string_view value) {
    text += key;
    AppendJson(text, value);
  };
  add(",\"time\":", FormatTime(event.time));
  add(",\"type\":", event.type);
  add(",\"object\":{\"kind\":", event.object.kind);
  add(",\"id\":", event.object.id);
  add(",\"name\":", event.object.name);
  add(",\"project\":", event.object.project);
  add("},\"actor\":", event.actor);
  add(",\"message\":", event.message);
  if (!event.data.is_null()) {
    text += ",\"data\":";
    text += json::serialize(event.data);
  }
  text += '}';
  return text;
}

absl::StatusOr<Event> EventFromJson(const json::value& value, std::string path,
                                    UnknownKeys unknown) {
  JsonObjectReader reader(value, std::move(path), unknown);
  Event event;
  event.revision = reader.Int("revision", {.min = 0});
  event.time = TimeField(reader, "time");
  event.type = reader.String("type");
  event.object = ObjectField(reader);
  event.actor = reader.OptionalString("actor").value_or("");
  event.message = reader.OptionalString("message").value_or("");
  event.data = ValueField(reader, "data");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return event;
}

}  // namespace bramble::api
