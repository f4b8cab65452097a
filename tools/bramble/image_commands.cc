// SPDX-License-Identifier: Apache-2.0
// image list, show, tag, delete.
#include "api/image.h"
#include "base/status.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

std::string NameText(const json::value& image) {
  return StrCat(TextAt(image, "name"), ":", TextAt(image, "tag"));
}

// One field of every variant, joined: "amd64,arm64".
std::string OfVariants(const json::value& image, std::string_view field) {
  std::string text;
  const json::value* variants = At(image, "variants");
  if (variants != nullptr && variants->is_array()) {
    for (const json::value& variant : variants->get_array()) {
      text = StrCat(text, text.empty() ? "" : ",", TextAt(variant, field));
    }
  }
  return text;
}

std::string ArchitecturesText(const json::value& image) {
  std::string text;
  const json::value* variants = At(image, "variants");
  if (variants != nullptr && variants->is_array()) {
    for (const json::value& variant : variants->get_array()) {
      const json::value* missing = At(variant, "missing");
      const bool gone = missing != nullptr && missing->is_bool() && missing->get_bool();
      text = StrCat(text, text.empty() ? "" : ",", TextAt(variant, "architecture"),
                    gone ? " (missing: import it again)" : "");
    }
  }
  return text;
}
std::string DigestsText(const json::value& image) { return OfVariants(image, "digest"); }

std::string SizesText(const json::value& image) {
  std::string text;
  const json::value* variants = At(image, "variants");
  if (variants != nullptr && variants->is_array()) {
    for (const json::value& variant : variants->get_array()) {
      const json::value* size = At(variant, "size_bytes");
      text = StrCat(text, text.empty() ? "" : ",",
                    ToString(Bytes{size != nullptr && size->is_int64() ? size->get_int64() : 0}));
    }
  }
  return text;
}

absl::Status List(const Args& args, Session& session) {
  return PrintList(args, session, ImageResource());
}

absl::Status Show(const Args& args, Session& session) {
  return PrintOne(args, session, ImageResource(), args.Positional(0));
}

absl::Status Tag(const Args& args, Session& session) {
  const absl::StatusOr<api::ImageReference> to = api::ParseImageReference(args.Positional(1));
  if (!to.ok()) {
    return Misuse(MessageOf(to.status()));
  }
  const json::object body = {{"name", to->name}, {"tag", to->tag}};
  BRAMBLE_ASSIGN_OR_RETURN(
      const ApiReply reply,
      session.controller.Send(
          Write("POST", ApiPath({"images", args.Positional(0), "tag"}), json::value(body))));
  return PrintObject(args, session, ImageResource(), reply.body);
}

absl::Status Delete(const Args& args, Session& session) {
  const std::string name = args.Positional(0);
  BRAMBLE_RETURN_IF_ERROR(
      session.controller.Send(Write("DELETE", ApiPath({"images", name}))).status());
  session.out << Printable(name) << ": deleted\n";
  return absl::OkStatus();
}

}  // namespace

const Resource& ImageResource() {
  static const Resource resource = {
      .kind = "image",
      .collection = "images",
      .columns =
          {
              {.name = "name", .path = "name"},
              {.name = "tag", .path = "tag"},
              {.name = "architectures", .text = ArchitecturesText},
              {.name = "size", .text = SizesText},
              {.name = "age", .path = "created_at", .as = As::kAge},
              {.name = "labels", .path = "labels", .wide = true},
              {.name = "used", .path = "last_used_at", .as = As::kAge, .wide = true},
              {.name = "digests", .wide = true, .text = DigestsText},
              {.name = "project", .path = "project", .wide = true},
              {.name = "generation", .path = "generation", .wide = true},
              {.name = "id", .path = "id", .wide = true},
          },
      .name = NameText};
  return resource;
}

std::vector<Command> ImageCommands() {
  const Positional image = {
      .name = "IMAGE", .help = "NAME or NAME:TAG", .completes = Completes::kImages};
  return {
      {.path = "image list",
       .summary = "List the images.",
       .answers = Answers::kList,
       .examples = "bramble image list",
       .run = List},
      {.path = "image show",
       .summary = "Show one image.",
       .positionals = {image},
       .answers = Answers::kObject,
       .examples = "bramble image show debian:12",
       .run = Show},
      {.path = "image tag",
       .summary = "Give an image another name or tag.",
       .positionals = {image, {.name = "NEW", .help = "NAME or NAME:TAG"}},
       .answers = Answers::kObject,
       .examples = "bramble image tag debian:12 debian:stable",
       .run = Tag},
      {.path = "image delete",
       .summary = "Delete an image; containers that run from it keep what they have.",
       .positionals = {image},
       .examples = "bramble image delete debian:11",
       .run = Delete},
  };
}

}  // namespace bramble::cli
