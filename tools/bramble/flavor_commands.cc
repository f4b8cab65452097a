// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

absl::Status List(const Args& args, Session& session) {
  return PrintList(args, session, FlavorResource());
}

absl::Status Create(const Args& args, Session& session) {
  json::object resources;
  BRAMBLE_ASSIGN_OR_RETURN(const auto cpu, args.Cpu("cpu"));
  BRAMBLE_ASSIGN_OR_RETURN(const auto memory, args.Size("memory"));
  BRAMBLE_ASSIGN_OR_RETURN(const auto disk, args.Size("disk"));
  BRAMBLE_ASSIGN_OR_RETURN(const auto pids, args.Int("pids", {.min = 0, .max = 4'194'304}));
  resources["cpu_milli"] = cpu->count;
  resources["memory_bytes"] = memory->count;
  if (disk.has_value()) {
    resources["disk_bytes"] = disk->count;
  }
  if (pids.has_value()) {
    resources["pids"] = *pids;
  }
  const json::object body = {{"name", args.Positional(0)}, {"resources", std::move(resources)}};
  BRAMBLE_ASSIGN_OR_RETURN(
      const ApiReply reply,
      session.controller.Send(Write("POST", ApiPath({"flavors"}), json::value(body))));
  return PrintObject(args, session, FlavorResource(), reply.body);
}

absl::Status Delete(const Args& args, Session& session) {
  const std::string name = args.Positional(0);
  BRAMBLE_RETURN_IF_ERROR(
      session.controller.Send(Write("DELETE", ApiPath({"flavors", name}))).status());
  session.out << Printable(name) << ": deleted\n";
  return absl::OkStatus();
}

}  // namespace

const Resource& FlavorResource() {
  static const Resource resource = {
      .kind = "flavor",
      .collection = "flavors",
      .columns = {
          {.name = "name", .path = "name"},
          {.name = "cpu", .path = "resources.cpu_milli", .as = As::kCpu},
          {.name = "memory", .path = "resources.memory_bytes", .as = As::kSize},
          {.name = "disk", .path = "resources.disk_bytes", .as = As::kLimitSize},
          {.name = "pids", .path = "resources.pids", .wide = true},
          {.name = "builtin", .path = "builtin"},
          {.name = "generation", .path = "generation", .wide = true},
      }};
  return resource;
}

std::vector<Command> FlavorCommands() {
  return {
      {.path = "flavor list",
       .summary = "List the flavors: named sizes of containers.",
       .answers = Answers::kList,
       .examples = "bramble flavor list",
       .run = List},
      {.path = "flavor create",
       .summary = "Add a flavor.",
       .positionals = {{.name = "NAME", .help = "its name"}},
       .flags = {{.name = "cpu", .value = "CORES", .help = "0.5, 2, 250m", .required = true},
                 {.name = "memory", .value = "SIZE", .help = "256MiB, 1GiB", .required = true},
                 {.name = "disk", .value = "SIZE", .help = "0: no limit (0)"},
                 {.name = "pids", .value = "N", .help = "0: the node's default (0)"}},
       .answers = Answers::kObject,
       .examples = "bramble flavor create tiny --cpu 0.1 --memory 32MiB",
       .run = Create},
      {.path = "flavor delete",
       .summary = "Delete a flavor that was not shipped; containers keep their limits.",
       .positionals = {{.name = "NAME", .help = "the flavor", .completes = Completes::kFlavors}},
       .examples = "bramble flavor delete tiny",
       .run = Delete},
  };
}

}  // namespace bramble::cli
