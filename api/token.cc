// SPDX-License-Identifier: Apache-2.0
#include "api/token.h"

#include "base/status.h"

#include "absl/strings/escaping.h"

namespace bramble::api {
namespace {

constexpr std::string_view kPrefix = "brm1.";
constexpr size_t kHashBytes = 32;
constexpr size_t kMaxAddresses = 16;
constexpr size_t kMaxAddressBytes = 255;

std::string WebSafe(const std::string& bytes) { return absl::WebSafeBase64Escape(bytes); }

absl::Status Malformed(std::string_view why) {
  return absl::InvalidArgumentError(
      StrCat("join token: ", why, "; copy the whole line that `bramble token create` printed"));
}

}  // namespace

// Inside the base64url: {"k": base64url(SHA-256 of the key), "i": id, "s": base64url(secret),
// "a": ["host:port", …]}.
std::string FormatJoinToken(const JoinToken& token) {
  const json::object object = {{"k", WebSafe(token.controller_key_sha256)},
                               {"i", token.id.str()},
                               {"s", WebSafe(token.secret)},
                               {"a", ToJson(token.addresses)}};
  return StrCat(kPrefix, WebSafe(json::serialize(object)));
}

absl::StatusOr<JoinToken> ParseJoinToken(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
    text.remove_suffix(1);
  }
  if (text.size() > kMaxJoinTokenBytes) {
    return Malformed("too long");
  }
  if (!text.starts_with(kPrefix)) {
    return Malformed("does not start with \"brm1.\"");
  }
  std::string inner;
  if (!absl::WebSafeBase64Unescape(ToAbsl(text.substr(kPrefix.size())), &inner)) {
    return Malformed("not base64url, a part may be missing");
  }
  absl::StatusOr<json::value> value = ParseJson(inner, kMaxJoinTokenBytes);
  if (!value.ok()) {
    return Malformed("its content is damaged, a part may be missing");
  }
  JsonObjectReader reader(*value, "join token");
  JoinToken token;
  const std::string key = reader.String("k");
  const std::string secret = reader.String("s");
  token.id = reader.Parsed<TokenId>("i");
  token.addresses = reader.StringList("a", kMaxAddresses, {.max = kMaxAddressBytes});
  const bool decoded = absl::WebSafeBase64Unescape(key, &token.controller_key_sha256) &&
                       absl::WebSafeBase64Unescape(secret, &token.secret);
  if (!reader.Finish().ok() || !decoded || token.controller_key_sha256.size() != kHashBytes ||
      token.secret.size() != kJoinSecretBytes) {
    return Malformed("its content is not that of a token");
  }
  return token;
}

json::object ToJson(const Token& token) {
  return {{"id", token.id.str()},
          {"generation", token.generation},
          {"created_at", FormatTime(token.created_at)},
          {"expires_at", FormatTime(token.expires_at)},
          {"max_uses", token.max_uses},
          {"uses", token.uses},
          {"revoked", token.revoked},
          {"pool", token.pool}};
}

absl::StatusOr<Token> TokenFromJson(const json::value& value, std::string path,
                                    UnknownKeys unknown) {
  JsonObjectReader reader(value, std::move(path), unknown);
  Token token;
  token.id = reader.Parsed<TokenId>("id");
  token.generation = reader.Int("generation", {.min = 0});
  token.created_at = TimeField(reader, "created_at");
  token.expires_at = TimeField(reader, "expires_at");
  token.max_uses = reader.Int("max_uses", {.min = 1});
  token.uses = reader.Int("uses", {.min = 0});
  token.revoked = reader.Bool("revoked");
  token.pool = reader.OptionalString("pool").value_or("default");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return token;
}

}  // namespace bramble::api
