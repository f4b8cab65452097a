// SPDX-License-Identifier: Apache-2.0
#include "api/context.h"

#include <algorithm>

#include "api/public_key.h"
#include "base/encoding.h"
#include "base/status.h"

namespace bramble::api {
namespace {

constexpr size_t kMaxTypeBytes = 127;  // RFC 6838, 4.2, of each half
constexpr size_t kMaxPartName = 255;
constexpr size_t kMaxLogin = 32;  // useradd(8)
constexpr size_t kMaxVariableName = 128;
constexpr size_t kMaxSecretName = 64;
constexpr size_t kMaxBase64 = (kMaxContextBytes + 2) / 3 * 4;

bool IsControl(char c) {
  return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) == 0x7f;
}
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsAlpha(char c) { return IsLower(c) || (c >= 'A' && c <= 'Z'); }

// A restricted-name of RFC 6838, 4.2, in lower case.
bool IsTypeName(std::string_view text) {
  return !text.empty() && text.size() <= kMaxTypeBytes &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return IsLower(c) || IsDigit(c) ||
                  std::string_view("!#$&^_.+-").find(c) != std::string_view::npos;
         });
}

absl::Status CheckPart(const ContextPart& part) {
  const auto type = ParsePartType(part.type);
  if (!type.ok() || *type != part.type) {
    return absl::InvalidArgumentError(
        StrCat("type: ", type.ok() ? "write it in full" : MessageOf(type.status())));
  }
  const bool plain = std::none_of(part.name.begin(), part.name.end(),
                                  [](char c) { return IsControl(c) || c == '/'; });
  if (!plain || part.name.empty() || part.name.size() > kMaxPartName || part.name == "." ||
      part.name == "..") {
    return absl::InvalidArgumentError("name: must be the name of a file, without directories");
  }
  return absl::OkStatus();
}

absl::Status CheckVariable(const std::string& name, const std::string& value) {
  BRAMBLE_RETURN_IF_ERROR(CheckVariableName(name));
  // A value may have several lines, as a script has.
  const bool control = std::any_of(value.begin(), value.end(),
                                   [](char c) { return IsControl(c) && c != '\n' && c != '\t'; });
  return control ? absl::InvalidArgumentError(
                       StrCat(name, ": its value holds control characters other than line ends"))
                 : absl::OkStatus();
}

std::string BytesField(JsonObjectReader& reader, std::string_view key) {
  const auto text = reader.OptionalString(key, {.max = kMaxBase64});
  if (!text.has_value()) {
    return "";
  }
  absl::StatusOr<std::string> bytes = Base64Decode(*text);
  if (!bytes.ok()) {
    reader.Fail(key, MessageOf(bytes.status()));
    return "";
  }
  return *std::move(bytes);
}

std::vector<ContextPart> PartsField(JsonObjectReader& reader, UnknownKeys unknown) {
  std::vector<ContextPart> parts;
  for (const json::value* value : reader.List("parts", kMaxContextParts)) {
    JsonObjectReader one(*value, StrCat(reader.PathOf("parts"), "[", parts.size(), "]"), unknown);
    ContextPart part;
    part.type = one.String("type", {.max = 2 * kMaxTypeBytes + 1});
    part.name = one.String("name", {.max = kMaxPartName});
    part.content = BytesField(one, "content_base64");
    reader.Merge(one.Finish());
    parts.push_back(std::move(part));
  }
  return parts;
}

std::map<std::string, std::string> SecretsField(JsonObjectReader& reader) {
  std::map<std::string, std::string> secrets;
  for (const auto& [name, text] :
       reader.StringMap("secrets_base64", kMaxContextSecrets, {.max = kMaxBase64})) {
    absl::StatusOr<std::string> bytes = Base64Decode(text);
    if (!bytes.ok()) {
      reader.Fail("secrets_base64", StrCat(name, ": ", MessageOf(bytes.status())));
      break;
    }
    secrets[name] = *std::move(bytes);
  }
  return secrets;
}

}  // namespace

size_t Context::bytes() const {
  size_t all = user_data.size() + vendor_data.size() + user.size();
  for (const ContextPart& part : parts) {
    all += part.type.size() + part.name.size() + part.content.size();
  }
  for (const std::string& key : authorized_keys) {
    all += key.size();
  }
  for (const auto* map : {&variables, &secrets}) {
    for (const auto& [name, value] : *map) {
      all += name.size() + value.size();
    }
  }
  return all;
}

ContextSummary SummaryOf(const Context& context) {
  ContextSummary summary;
  summary.bytes = static_cast<int64_t>(context.bytes());
  summary.keys = context.keys;
  for (const ContextPart& part : context.parts) {
    summary.parts.push_back(StrCat(part.type, " ", part.name));
  }
  summary.user = context.user;
  for (const auto& [name, value] : context.variables) {
    summary.variables.push_back(name);
  }
  return summary;
}

ContextMode ParseContextMode(std::string_view text) {
  const auto* const found =
      std::find(std::begin(kContextModeNames), std::end(kContextModeNames), text);
  return found == std::end(kContextModeNames)
             ? ContextMode::kFindOut
             : static_cast<ContextMode>(found - std::begin(kContextModeNames));
}

absl::StatusOr<std::string> ParsePartType(std::string_view text) {
  const size_t slash = text.find('/');
  const std::string_view top = slash == std::string_view::npos ? "text" : text.substr(0, slash);
  const std::string_view sub = slash == std::string_view::npos ? text : text.substr(slash + 1);
  if (!IsTypeName(top) || !IsTypeName(sub)) {
    return absl::InvalidArgumentError(
        StrCat("\"", text, "\" is no media type; such as x-shellscript, cloud-config, text/plain"));
  }
  if (top == "multipart" || top == "message") {
    return absl::InvalidArgumentError(StrCat(
        "\"", text, "\" cannot be a part; give a finished one as the whole user data (type none)"));
  }
  return StrCat(top, "/", sub);
}

absl::Status CheckLogin(std::string_view user) {
  const bool valid =
      !user.empty() && user.size() <= kMaxLogin && (IsLower(user[0]) || user[0] == '_') &&
      std::all_of(user.begin(), user.end(),
                  [](char c) { return IsLower(c) || IsDigit(c) || c == '_' || c == '-'; });
  return valid ? absl::OkStatus()
               : absl::InvalidArgumentError(StrCat("user \"", user,
                                                   "\": 1 to 32 of a-z, 0-9, '_' and '-', a letter "
                                                   "or '_' first"));
}

absl::Status CheckVariableName(std::string_view name) {
  const bool valid = !name.empty() && name.size() <= kMaxVariableName &&
                     (IsAlpha(name[0]) || name[0] == '_') &&
                     std::all_of(name.begin(), name.end(),
                                 [](char c) { return IsAlpha(c) || IsDigit(c) || c == '_'; });
  return valid ? absl::OkStatus()
               : absl::InvalidArgumentError(
                     StrCat("variable \"", name, "\": letters, digits and '_', no digit first"));
}

absl::Status CheckSecretName(std::string_view name) {
  const bool valid = !name.empty() && name.size() <= kMaxSecretName &&
                     (IsAlpha(name[0]) || IsDigit(name[0]) || name[0] == '_') &&
                     std::all_of(name.begin(), name.end(), [](char c) {
                       return IsAlpha(c) || IsDigit(c) || c == '_' || c == '-' || c == '.';
                     });
  return valid ? absl::OkStatus()
               : absl::InvalidArgumentError(
                     StrCat("secret \"", name,
                            "\": 1 to 64 letters, digits, '_', '-' and '.', no '-' or '.' first"));
}

absl::Status CheckContext(const Context& context, const std::string& path) {
  const auto at = [&path](std::string_view member, const absl::Status& status) {
    return Annotate(status, StrCat(path, ".", member));
  };
  if (!context.user_data.empty() && !context.parts.empty()) {
    return absl::InvalidArgumentError(
        StrCat(path, ": user data as it is, or in parts; there is both"));
  }
  for (size_t i = 0; i < context.parts.size(); ++i) {
    BRAMBLE_RETURN_IF_ERROR(at(StrCat("parts[", i, "]"), CheckPart(context.parts[i])));
  }
  for (const std::string& name : context.keys) {
    BRAMBLE_RETURN_IF_ERROR(at("keys", CheckName("key", name)));
  }
  if (!context.user.empty()) {
    BRAMBLE_RETURN_IF_ERROR(at("user", CheckLogin(context.user)));
  }
  for (const auto& [name, value] : context.variables) {
    BRAMBLE_RETURN_IF_ERROR(at("variables", CheckVariable(name, value)));
  }
  for (const auto& [name, value] : context.secrets) {
    BRAMBLE_RETURN_IF_ERROR(at("secrets", CheckSecretName(name)));
  }
  if (const size_t bytes = context.bytes(); bytes > kMaxContextBytes) {
    return absl::InvalidArgumentError(StrCat(path, ": ", bytes, " bytes in all; at most ",
                                             kMaxContextBytes, ", so ", bytes - kMaxContextBytes,
                                             " too many; put what is large into the image"));
  }
  return absl::OkStatus();
}

json::object ToJson(const Context& context) {
  json::object object;
  const auto bytes = [&object](std::string_view key, const std::string& value) {
    if (!value.empty()) {
      object[key] = Base64Encode(value);
    }
  };
  bytes("user_data_base64", context.user_data);
  bytes("vendor_data_base64", context.vendor_data);
  json::array parts;
  for (const ContextPart& part : context.parts) {
    parts.push_back(
        {{"type", part.type}, {"name", part.name}, {"content_base64", Base64Encode(part.content)}});
  }
  json::object secrets;
  for (const auto& [name, value] : context.secrets) {
    secrets[name] = Base64Encode(value);
  }
  if (!parts.empty()) {
    object["parts"] = std::move(parts);
  }
  if (!context.keys.empty()) {
    object["keys"] = ToJson(context.keys);
  }
  if (!context.authorized_keys.empty()) {
    object["authorized_keys"] = ToJson(context.authorized_keys);
  }
  if (!context.user.empty()) {
    object["user"] = context.user;
  }
  if (!context.variables.empty()) {
    object["variables"] = ToJson(context.variables);
  }
  if (!secrets.empty()) {
    object["secrets_base64"] = std::move(secrets);
  }
  return object;
}

absl::StatusOr<Context> ContextFromJson(const json::value& value, std::string path,
                                        UnknownKeys unknown) {
  JsonObjectReader reader(value, path, unknown);
  Context context;
  context.user_data = BytesField(reader, "user_data_base64");
  context.parts = PartsField(reader, unknown);
  context.vendor_data = BytesField(reader, "vendor_data_base64");
  context.keys = reader.StringList("keys", kMaxContextKeys);
  context.authorized_keys =
      reader.StringList("authorized_keys", 2 * kMaxContextKeys, {.max = kMaxPublicKeyBytes});
  context.user = reader.OptionalString("user", {.max = kMaxLogin}).value_or("");
  context.variables = reader.StringMap("variables", kMaxContextVariables,
                                       {.max = kMaxContextBytes, .allow_control = true});
  context.secrets = SecretsField(reader);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  BRAMBLE_RETURN_IF_ERROR(CheckContext(context, path));
  return context;
}

json::object ToJson(const ContextSummary& summary) {
  json::object object = {{"bytes", summary.bytes}};
  if (!summary.keys.empty()) {
    object["keys"] = ToJson(summary.keys);
  }
  if (!summary.parts.empty()) {
    object["parts"] = ToJson(summary.parts);
  }
  if (!summary.user.empty()) {
    object["user"] = summary.user;
  }
  if (!summary.variables.empty()) {
    object["variables"] = ToJson(summary.variables);
  }
  return object;
}

absl::StatusOr<ContextSummary> ContextSummaryFromJson(const json::value& value, std::string path) {
  JsonObjectReader reader(value, std::move(path));
  ContextSummary summary;
  summary.bytes = reader.Int("bytes", {.min = 0});
  summary.keys = reader.StringList("keys", kMaxContextKeys);
  summary.parts = reader.StringList("parts", kMaxContextParts);
  summary.user = reader.OptionalString("user").value_or("");
  summary.variables = reader.StringList("variables", kMaxContextVariables);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return summary;
}

}  // namespace bramble::api
