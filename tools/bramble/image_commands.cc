// SPDX-License-Identifier: Apache-2.0
// image list, show, alias, set, tag, delete.
#include <algorithm>

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

std::string AliasesText(const json::value& image) {
  std::string text;
  const json::value* aliases = At(image, "aliases");
  if (aliases != nullptr && aliases->is_array()) {
    for (const json::value& alias : aliases->get_array()) {
      text = StrCat(text, text.empty() ? "" : ",", TextOf(alias));
    }
  }
  return text;
}

absl::Status Patched(const Args& args, Session& session, const json::object& patch,
                     std::string if_match) {
  ApiRequest request = Write("PATCH", ApiPath({"images", args.Positional(0)}), json::value(patch));
  if (!if_match.empty()) {
    request.headers.emplace_back("If-Match", std::move(if_match));
  }
  BRAMBLE_ASSIGN_OR_RETURN(const ApiReply reply, session.controller.Send(std::move(request)));
  return PrintObject(args, session, ImageResource(), reply.body);
}

absl::Status Set(const Args& args, Session& session) {
  if (!args.Has("visibility")) {
    return Misuse("say what to set: --visibility public|private");
  }
  return Patched(args, session, {{"visibility", args.Text("visibility")}}, "");
}

absl::Status Alias(const Args& args, Session& session) {
  const auto alias = api::ParseImageReference(args.Positional(2));
  if (!alias.ok()) {
    return Misuse(MessageOf(alias.status()));
  }
  BRAMBLE_ASSIGN_OR_RETURN(const ApiReply reply,
                           session.controller.Send(Get(ApiPath({"images", args.Positional(0)}))));
  BRAMBLE_ASSIGN_OR_RETURN(const json::value image, ParseJson(reply.body));
  JsonObjectReader reader(image, "image");
  std::vector<std::string> aliases = reader.StringList("aliases");
  const int64_t generation = reader.Int("generation");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  const std::string name = alias->str();
  const auto found = std::find(aliases.begin(), aliases.end(), name);
  if (args.Positional(1) == "delete") {
    if (found == aliases.end()) {
      return absl::NotFoundError(
          StrCat("image \"", NameText(image), "\": has no alias \"", name,
                 "\"; it has: ", aliases.empty() ? "none" : AliasesText(image)));
    }
    aliases.erase(found);
  } else if (found == aliases.end()) {
    aliases.push_back(name);
  }
  return Patched(args, session, {{"aliases", json::value_from(aliases)}},
                 StrCat("\"", generation, "\""));
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
              {.name = "used", .path = "last_used_at", .as = As::kAge},
              {.name = "aliases", .text = AliasesText},
              {.name = "visibility", .path = "visibility", .wide = true},
              {.name = "labels", .path = "labels", .wide = true},
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
      {.path = "image alias",
       .summary = "Give an image a further name that follows it, or take one away.",
       .positionals = {image,
                       {.name = "add|delete", .help = "what to do", .choices = {"add", "delete"}},
                       {.name = "ALIAS", .help = "NAME or NAME:TAG"}},
       .answers = Answers::kObject,
       .details =
           "An alias leads to whatever the image is when it is used; `image tag` copies what it "
           "is now.",
       .examples = "bramble image alias debian:12 add debian:stable\n"
                   "bramble image alias debian:12 delete debian:stable",
       .run = Alias},
      {.path = "image set",
       .summary = "Show an image to every project, or to its own only.",
       .positionals = {image},
       .flags = {{.name = "visibility",
                  .value = "WHO",
                  .help = "who may make containers of it",
                  .choices = {"public", "private"}}},
       .answers = Answers::kObject,
       .examples = "bramble image set debian:12 --visibility public",
       .run = Set},
      {.path = "image delete",
       .summary = "Delete an image; containers that run from it keep what they have.",
       .positionals = {image},
       .examples = "bramble image delete debian:11",
       .run = Delete},
  };
}

}  // namespace bramble::cli
