// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a container is told at its first start beside its image: the member `context` of POST
// /v1/containers.  It is kept apart from the container's spec and never given out by the API, since
// all of it may be secret; the container shows a summary.  It does not change while the container
// lives; a rebuild applies it anew.

#include "api/json_fields.h"

namespace bramble::api {

// How much of it there may be in one container's context, all pieces together: what the controller
// keeps in memory and a node on its card for each container.  OpenStack's user data has the same
// limit, EC2's a quarter of it; what is larger belongs into an image or is fetched by the script.
inline constexpr size_t kMaxContextBytes = 64 << 10;
inline constexpr size_t kMaxContextParts = 64;
inline constexpr size_t kMaxContextKeys = 64;
inline constexpr size_t kMaxContextVariables = 256;
inline constexpr size_t kMaxContextSecrets = 64;

// One part of a multipart user-data.
struct ContextPart {
  std::string type;  // "text/x-shellscript"
  std::string name;  // of a file, without directories
  std::string content;

  friend bool operator==(const ContextPart&, const ContextPart&) = default;
};

struct Context {
  std::string user_data;  // as it is; none when there are `parts`
  std::vector<ContextPart> parts;
  std::string vendor_data;
  std::vector<std::string> keys;             // names of keys
  std::vector<std::string> authorized_keys;  // lines of OpenSSH; those of `keys` too once resolved
  std::string user;                          // whose keys they are; empty: root, or the image's own
  std::map<std::string, std::string> variables;  // of /context/context.sh
  std::map<std::string, std::string> secrets;    // files in /context/secrets

  bool empty() const { return *this == Context(); }
  size_t bytes() const;

  friend bool operator==(const Context&, const Context&) = default;
};

// What everybody may know of a container's context.
struct ContextSummary {
  int64_t bytes = 0;
  std::vector<std::string> keys;
  std::vector<std::string> parts;  // "text/x-shellscript run.sh"
  std::string user;
  std::vector<std::string> variables;  // their names

  friend bool operator==(const ContextSummary&, const ContextSummary&) = default;
};
ContextSummary SummaryOf(const Context& context);

// How an image is told: its label `context`.  With no label, or with another value, the node finds
// out from its tree.
enum class ContextMode { kFindOut, kNone, kMinimal, kCloudInit };
inline constexpr std::string_view kContextModeNames[] = {"", "none", "minimal", "cloud-init"};
inline constexpr char kContextLabel[] = "context";
ContextMode ParseContextMode(std::string_view text);

// "x-shellscript" -> "text/x-shellscript".  kInvalidArgument: not the name of a media type, or a
// multipart one, which cannot be a part.
absl::StatusOr<std::string> ParsePartType(std::string_view text);

absl::Status CheckLogin(std::string_view user);
absl::Status CheckVariableName(std::string_view name);
absl::Status CheckSecretName(std::string_view name);

// kInvalidArgument: a name or type that is none, control characters in a variable, user_data beside
// parts, more than kMaxContextBytes.  Keys are not parsed here, nor looked up.
absl::Status CheckContext(const Context& context, const std::string& path);

// Bytes are base64 in members that end in `_base64`.
json::object ToJson(const Context& context);
absl::StatusOr<Context> ContextFromJson(const json::value& value, std::string path,
                                        UnknownKeys unknown);
json::object ToJson(const ContextSummary& summary);
absl::StatusOr<ContextSummary> ContextSummaryFromJson(const json::value& value, std::string path);

}  // namespace bramble::api
