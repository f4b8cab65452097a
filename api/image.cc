// SPDX-License-Identifier: Apache-2.0
#include "api/image.h"

#include <algorithm>

#include "api/labels.h"
#include "base/status.h"

#include "absl/strings/escaping.h"

namespace bramble::api {
namespace {

constexpr size_t kMaxNameBytes = 63;
constexpr size_t kDigestDigits = 64;
constexpr size_t kMaxVariants = 16;

bool IsLowerOrDigit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool IsImageName(std::string_view text) {
  return !text.empty() && text.size() <= kMaxNameBytes && IsLowerOrDigit(text.front()) &&
         IsLowerOrDigit(text.back()) && std::all_of(text.begin(), text.end(), [](char c) {
           return IsLowerOrDigit(c) || c == '.' || c == '-';
         });
}

bool IsTag(std::string_view text) {
  return !text.empty() && text.size() <= kMaxNameBytes && text.front() != '.' &&
         text.front() != '-' && std::all_of(text.begin(), text.end(), [](char c) {
           return IsLowerOrDigit(c) || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' || c == '_';
         });
}

}  // namespace

absl::StatusOr<ImageReference> ParseImageReference(std::string_view text) {
  const size_t colon = text.find(':');
  ImageReference reference;
  reference.name = std::string(text.substr(0, colon));
  reference.tag = colon == std::string_view::npos ? "latest" : std::string(text.substr(colon + 1));
  if (!IsImageName(reference.name) || !IsTag(reference.tag)) {
    return absl::InvalidArgumentError(
        StrCat("image \"", absl::CHexEscape(std::string(text.substr(0, 100))),
               "\": write NAME or NAME:TAG, a name of a-z, 0-9, '.', '-', a tag of letters, "
               "digits, '.', '_', '-', each at most 63 long"));
  }
  return reference;
}

absl::Status CheckDigest(std::string_view text) {
  const bool good =
      text.size() == kDigestDigits && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
      });
  return good ? absl::OkStatus()
              : absl::InvalidArgumentError("a digest is 64 lower-case hex digits (SHA-256)");
}

absl::Status CheckArchitecture(std::string_view text) {
  if (text == "amd64" || text == "arm64" || text == "armhf") {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(StrCat("architecture \"",
                                           absl::CHexEscape(std::string(text.substr(0, 40))),
                                           "\": write amd64, arm64 or armhf"));
}

json::object ToJson(const ImageVariant& variant) {
  json::object object = {{"architecture", variant.architecture},
                         {"digest", variant.digest},
                         {"size_bytes", variant.size.count}};
  if (variant.missing) {
    object["missing"] = true;
  }
  return object;
}

json::object ToJson(const Image& image) {
  json::array variants;
  for (const ImageVariant& variant : image.variants) {
    variants.push_back(ToJson(variant));
  }
  json::object object = {{"id", image.id.str()},
                         {"name", image.name},
                         {"tag", image.tag},
                         {"project", image.project.str()},
                         {"generation", image.generation},
                         {"variants", std::move(variants)},
                         {"labels", ToJson(image.labels)},
                         {"visibility", kVisibilityNames[static_cast<size_t>(image.visibility)]},
                         {"aliases", ToJson(image.aliases)},
                         {"created_at", FormatTime(image.created_at)}};
  if (image.last_used_at.has_value()) {
    object["last_used_at"] = FormatTime(*image.last_used_at);
  }
  return object;
}

absl::StatusOr<Image> ImageFromJson(const json::value& value, std::string path,
                                    UnknownKeys unknown) {
  JsonObjectReader reader(value, std::move(path), unknown);
  Image image;
  image.id = reader.Parsed<ImageId>("id");
  image.name = reader.String("name");
  image.tag = reader.String("tag");
  image.project = reader.Parsed<ProjectName>("project");
  image.generation = reader.Int("generation", {.min = 0});
  for (const json::value* element : reader.List("variants", kMaxVariants)) {
    JsonObjectReader variant(*element, reader.PathOf("variants"), unknown);
    image.variants.push_back({.architecture = variant.String("architecture"),
                              .digest = variant.String("digest"),
                              .size = {variant.Int("size_bytes", {.min = 0})},
                              .missing = variant.OptionalBool("missing").value_or(false)});
    variant.Merge(CheckArchitecture(image.variants.back().architecture));
    variant.Merge(CheckDigest(image.variants.back().digest));
    reader.Merge(variant.Finish());
  }
  image.labels = reader.StringMap("labels", kMaxLabels);
  image.visibility =
      EnumField<Visibility>(reader, "visibility", kVisibilityNames, Visibility::kPrivate);
  image.aliases = reader.StringList("aliases", kMaxAliases);
  for (const std::string& alias : image.aliases) {
    reader.Merge(ParseImageReference(alias).status());
  }
  image.created_at = TimeField(reader, "created_at");
  image.last_used_at = OptionalTimeField(reader, "last_used_at");
  reader.Merge(ParseImageReference(StrCat(image.name, ":", image.tag)).status());
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return image;
}

}  // namespace bramble::api
