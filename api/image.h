// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/json_fields.h"
#include "api/labels.h"

namespace bramble::api {

// The root file system of one architecture: a tar archive (plain, gz, xz or zst), known by the
// SHA-256 of its bytes.
struct ImageVariant {
  std::string architecture;  // amd64, arm64, armhf
  std::string digest;        // 64 lower-case hex digits
  Bytes size;
  bool missing = false;  // its bytes are not on the controller (a restore without images)

  friend bool operator==(const ImageVariant&, const ImageVariant&) = default;
};

// Who may make containers of an image: the people of its project, or of every project.  Persisted
// by name: never rename, only append.
enum class Visibility { kPrivate, kPublic };
inline constexpr std::string_view kVisibilityNames[] = {"private", "public"};

inline constexpr size_t kMaxAliases = 16;  // of one image

// A name and tag with one variant per architecture.
struct Image {
  ImageId id;
  std::string name;
  std::string tag = "latest";
  ProjectName project;
  uint64_t generation = 1;
  std::vector<ImageVariant> variants;
  Labels labels;
  Visibility visibility = Visibility::kPrivate;
  std::vector<std::string> aliases;  // further names, "name:tag", in order; they follow the image
  WallTime created_at{};
  // When a container was last made of it, rebuilt or deleted, to the hour.
  std::optional<WallTime> last_used_at;
};

struct ImageReference {
  std::string name;
  std::string tag;

  std::string str() const { return StrCat(name, ":", tag); }
};
// "debian", "debian:12".  A name is 1 to 63 of [a-z0-9.-], a tag 1 to 63 of [a-zA-Z0-9._-].
absl::StatusOr<ImageReference> ParseImageReference(std::string_view text);
// OK when `text` is exactly 64 lower-case hex digits.
absl::Status CheckDigest(std::string_view text);
// OK for a Debian architecture that Bramble knows: amd64, arm64, armhf.
absl::Status CheckArchitecture(std::string_view text);

json::object ToJson(const ImageVariant& variant);
json::object ToJson(const Image& image);
absl::StatusOr<Image> ImageFromJson(const json::value& value, std::string path = "image",
                                    UnknownKeys unknown = UnknownKeys::kIgnore);

}  // namespace bramble::api
