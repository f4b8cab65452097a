// SPDX-License-Identifier: Apache-2.0
// node drain, restore, identify, reboot, poweroff, reset, replace, remove: what takes time.
#include "base/status.h"
#include "tools/bramble/operation_wait.h"
#include "tools/bramble/resources.h"

namespace bramble::cli {
namespace {

// POST /v1/nodes/NAME/VERB and wait.
absl::Status Order(const Args& args, Session& session, std::string_view verb, json::object body,
                   std::string_view outcome) {
  const std::string name = args.Positional(0);
  const std::string path = ApiPath({"nodes", name, verb});
  BRAMBLE_ASSIGN_OR_RETURN(
      const ApiReply reply,
      session.controller.Send(body.empty() ? Write("POST", path)
                                           : Write("POST", path, json::value(std::move(body)))));
  const std::string line = StrCat(name, ": ", outcome);
  return FinishOperation(args, session, reply, [line, name](const api::Operation& operation) {
    // What the node itself says of it counts.
    if (const json::object* result = operation.result.if_object()) {
      if (const json::value* said = result->if_contains("message"); said && said->is_string()) {
        return absl::StatusOr<std::string>(StrCat(name, ": ", std::string(said->as_string())));
      }
    }
    return absl::StatusOr<std::string>(operation.message.empty() || operation.message == "done"
                                           ? line
                                           : StrCat(line, " (", operation.message, ")"));
  });
}

absl::Status Drain(const Args& args, Session& session) {
  json::object body;
  BRAMBLE_ASSIGN_OR_RETURN(const auto deadline, args.Seconds("deadline"));
  BRAMBLE_ASSIGN_OR_RETURN(const auto pace, args.Int("pace", {.min = 1, .max = 64}));
  if (deadline.has_value()) {
    body["deadline_s"] = deadline->count();
  }
  if (pace.has_value()) {
    body["pace"] = *pace;
  }
  if (args.Has("leave-pinned")) {
    body["leave_pinned"] = true;
  }
  return Order(args, session, "drain", std::move(body), "drained");
}

absl::Status Restore(const Args& args, Session& session) {
  return Order(args, session, "restore", {}, "restored");
}

absl::Status Identify(const Args& args, Session& session) {
  json::object body;
  BRAMBLE_ASSIGN_OR_RETURN(const auto seconds, args.Seconds("for"));
  if (seconds.has_value()) {
    body["seconds"] = seconds->count();
  }
  return Order(args, session, "identify", std::move(body), "blinks its LED");
}

absl::Status Reboot(const Args& args, Session& session) {
  return Order(args, session, "reboot", {}, "reboots");
}

absl::Status Poweroff(const Args& args, Session& session) {
  return Order(args, session, "poweroff", {}, "powers off");
}

absl::Status Reset(const Args& args, Session& session) {
  return Order(args, session, "reset", {}, "makes itself a new key and joins again");
}

absl::Status Replace(const Args& args, Session& session) {
  return Order(args, session, "replace", {{"by", args.Text("by")}},
               StrCat("replaced by ", args.Text("by")));
}

absl::Status Remove(const Args& args, Session& session) {
  const std::string name = args.Positional(0);
  ApiRequest request = Write("DELETE", ApiPath({"nodes", name}));
  if (args.Has("force")) {
    request.query.emplace_back("force", "true");
  }
  BRAMBLE_ASSIGN_OR_RETURN(const ApiReply reply, session.controller.Send(std::move(request)));
  return FinishOperation(args, session, reply, [name](const api::Operation&) {
    return absl::StatusOr<std::string>(StrCat(name, ": removed"));
  });
}

}  // namespace

std::vector<Command> NodeOrderCommands() {
  const Positional name = {.name = "NAME", .help = "the node", .completes = Completes::kNodes};
  const auto row = [&name](std::string_view path, std::string_view summary,
                           std::string_view examples, absl::Status (*run)(const Args&, Session&)) {
    return Command{.path = path,
                   .summary = summary,
                   .positionals = {name},
                   .answers = Answers::kOperation,
                   .examples = examples,
                   .run = run};
  };
  Command drain = row("node drain", "Move every container off a node and place no more on it.",
                      "bramble node drain pi-1 --deadline 30m\n"
                      "bramble node drain pi-1 --leave-pinned --no-wait",
                      Drain);
  drain.flags = {{.name = "deadline", .value = "TIME", .help = "give up after this (10m)"},
                 {.name = "pace", .value = "N", .help = "containers that move at once"},
                 {.name = "leave-pinned", .value = "", .help = "move only movable containers"}};
  drain.details =
      "Movable containers stop here and start elsewhere; pinned ones are stopped, their files are\n"
      "copied and verified elsewhere, and they start there.  What cannot be moved runs on here and "
      "is\n"
      "named with the reason; a move that fails is taken back.\n"
      "`bramble node restore NAME` brings them back.";
  Command identify = row("node identify", "Blink the LED of a node, and log it there.",
                         "bramble node identify pi-1 --for 1m", Identify);
  identify.flags = {{.name = "for", .value = "TIME", .help = "how long, at most 10m (15s)"}};
  Command replace = row("node replace", "Give a dead node's name, labels and address to another.",
                        "bramble node replace pi-1 --by pi-new", Replace);
  replace.flags = {{.name = "by",
                    .value = "NODE",
                    .help = "the node that takes its place",
                    .required = true,
                    .completes = Completes::kNodes}};
  Command remove = row("node remove", "Remove a node; its certificate is refused from then on.",
                       "bramble node remove pi-1", Remove);
  remove.flags = {{.name = "force",
                   .value = "",
                   .help = "also when it holds containers: they are given up with their data"}};
  return {drain,
          row("node restore", "End a drain or a cordon and bring back what was moved.",
              "bramble node restore pi-1", Restore),
          identify,
          row("node reboot", "Reboot a node.", "bramble node reboot pi-1", Reboot),
          row("node poweroff", "Power a node off; it is then `off`, not lost.",
              "bramble node poweroff pi-1", Poweroff),
          row("node reset", "Have a held node (a cloned card) take a new identity and join again.",
              "bramble node reset pi-1", Reset),
          replace,
          remove};
}

}  // namespace bramble::cli
