// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

absl::Status Prune(const Args& args, Session& session) {
  BRAMBLE_ASSIGN_OR_RETURN(const auto unused_for, args.Seconds("unused-for"));
  const bool dry_run = args.Has("dry-run");
  json::object body = {{"dry_run", dry_run}};
  if (unused_for.has_value()) {
    body["unused_for_s"] = unused_for->count();
  }
  BRAMBLE_ASSIGN_OR_RETURN(const ApiReply reply,
                           session.controller.Send(Write("POST", ApiPath({"prune", "images"}),
                                                         json::value(std::move(body)))));
  if (FormatOf(args) != Format::kTable) {
    return PrintObject(args, session, ImageResource(), reply.body);
  }
  BRAMBLE_ASSIGN_OR_RETURN(const json::value answer, ParseJson(reply.body));
  JsonObjectReader reader(answer, "prune");
  for (const json::value* element : reader.List("images")) {
    JsonObjectReader image(*element, reader.PathOf("images"));
    const std::string name = StrCat(image.String("name"), ":", image.String("tag"));
    const Bytes size{image.Int("size_bytes")};
    reader.Merge(image.Finish());
    session.out << Printable(name) << ": " << (dry_run ? "would go" : "deleted") << ", "
                << ToString(size) << '\n';
  }
  const Bytes freed{reader.Int("freed_bytes")};
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  session.out << ToString(freed) << (dry_run ? " would be freed\n" : " freed\n");
  return absl::OkStatus();
}

}  // namespace

std::vector<Command> ImagePruneCommands() {
  return {{.path = "image prune",
           .summary = "Delete the images that no container is made of.",
           .flags = {{.name = "dry-run", .help = "only say what would go"},
                     {.name = "unused-for",
                      .value = "TIME",
                      .help = "only those not used for so long: 30d, 12h (any)"}},
           .answers = Answers::kObject,
           .details =
               "Nodes make room on their cards by themselves, the least recently used images\n"
               "first, and keep what containers use.",
           .examples = "bramble image prune --dry-run\nbramble image prune --unused-for 30d",
           .run = Prune}};
}

}  // namespace bramble::cli
