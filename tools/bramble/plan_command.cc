// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"
#include "tools/bramble/container_spec.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

std::string FitsText(const json::value& row) { return TextAt(row, "fits"); }

std::string ReasonsText(const json::value& row) {
  std::string text;
  const json::value* reasons = At(row, "reasons");
  if (reasons != nullptr && reasons->is_array()) {
    for (const json::value& reason : reasons->get_array()) {
      text = StrCat(text, text.empty() ? "" : "; ", TextOf(reason));
    }
  }
  return text;
}

const Resource& PlanResource() {
  static const Resource resource = {.kind = "plan",
                                    .collection = "nodes",
                                    .columns = {{.name = "node", .path = "node"},
                                                {.name = "fits", .text = FitsText},
                                                {.name = "score", .path = "score"},
                                                {.name = "why", .text = ReasonsText}}};
  return resource;
}

// What would be asked for an existing container, with the flags on top.
absl::StatusOr<json::object> BodyOf(const Args& args, Session& session) {
  const std::string name = args.Positional(0);
  if (name.empty() && !args.Has("image")) {
    return Misuse("say what to plan: the NAME of a container, or --image for a new one");
  }
  BRAMBLE_ASSIGN_OR_RETURN(json::object flags,
                           ContainerBody(args, name.empty() ? "planned" : name));
  if (args.Has("image")) {
    return flags;
  }
  BRAMBLE_ASSIGN_OR_RETURN(const ApiReply reply,
                           session.controller.Send(Get(ApiPath({"containers", name}))));
  BRAMBLE_ASSIGN_OR_RETURN(const json::value container, ParseJson(reply.body));
  const json::value* spec = At(container, "spec");
  if (spec == nullptr || !spec->is_object()) {
    return absl::DataLossError(StrCat("container \"", name, "\": the controller gave no spec"));
  }
  json::object body = spec->get_object();
  body.erase("restart_count");
  body.erase("rebuild_count");
  flags.erase("image");
  for (const auto& [key, value] : flags) {
    body[key] = value;
  }
  return body;
}

absl::Status Plan(const Args& args, Session& session) {
  BRAMBLE_ASSIGN_OR_RETURN(json::object body, BodyOf(args, session));
  ApiRequest request;
  request.method = "POST";
  request.path = ApiPath({"plan"});
  request.body = json::serialize(body);
  BRAMBLE_ASSIGN_OR_RETURN(const ApiReply reply, session.controller.Send(std::move(request)));
  BRAMBLE_ASSIGN_OR_RETURN(const json::value plan, ParseJson(reply.body, 64 << 20));
  const std::string node = TextAt(plan, "node");
  if (FormatOf(args) != Format::kTable) {
    const Resource resource = {
        .kind = "plan", .name = [](const json::value& answer) { return TextAt(answer, "node"); }};
    BRAMBLE_RETURN_IF_ERROR(PrintObject(args, session, resource, reply.body));
  } else {
    if (!node.empty()) {
      session.out << "would go to " << Printable(node) << '\n';
    }
    const json::value* rows = At(plan, "nodes");
    if (args.Has("explain") && rows != nullptr && rows->is_array()) {
      std::vector<const json::value*> objects;
      for (const json::value& row : rows->get_array()) {
        objects.push_back(&row);
      }
      session.out << RenderTable(PlanResource().columns, objects, session.clock.Wall(),
                                 session.screen.colours);
    }
  }
  if (node.empty()) {
    return absl::FailedPreconditionError(
        StrCat("no node can hold it now: ", TextAt(plan, "reason"),
               args.Has("explain") ? "" : "; --explain says more for every node"));
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<Command> PlanCommands() {
  std::vector<Flag> flags = ContainerSpecFlags();
  for (Flag& flag : flags) {
    flag.required = false;
  }
  flags.push_back({.name = "explain", .value = "", .help = "for every node, why or why not"});
  return {{.path = "plan",
           .summary = "Say where a container would go, and why not elsewhere; changes nothing.",
           .positionals = {{.name = "NAME",
                            .help = "an existing container; without it, --image for a new one",
                            .completes = Completes::kContainers,
                            .optional = true}},
           .flags = std::move(flags),
           .answers = Answers::kObject,
           .details = "Exit 1 when no node can hold it.",
           .examples = "bramble plan --image debian:12 --memory 4GiB --explain\n"
                       "bramble plan web --explain",
           .run = Plan}};
}

}  // namespace bramble::cli
