// SPDX-License-Identifier: Apache-2.0
// container list, show, limits, and the verbs without arguments.
#include "base/status.h"
#include "tools/bramble/container_spec.h"
#include "tools/bramble/operation_wait.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

absl::Status List(const Args& args, Session& session) {
  return PrintList(args, session, ContainerResource());
}

absl::Status Show(const Args& args, Session& session) {
  return PrintOne(args, session, ContainerResource(), args.Positional(0));
}

// Sends the request of `make` for each name, then waits for each: they work side by side.  Goes on
// after a failure and returns the first.
absl::Status ForEachName(const Args& args, Session& session,
                         const std::function<ApiRequest(const std::string& name)>& make,
                         std::string_view outcome) {
  absl::Status first;
  const auto note = [&first, &session](const absl::Status& status) {
    if (!status.ok() && !first.ok()) {
      session.err << "bramble: " << Printable(MessageOf(first)) << '\n';
    }
    first = status.ok() ? first : status;
  };
  std::vector<std::pair<std::string, ApiReply>> accepted;
  for (const std::string& name : args.positionals()) {
    absl::StatusOr<ApiReply> reply = session.controller.Send(make(name));
    note(reply.status());
    if (reply.ok()) {
      accepted.emplace_back(name, *std::move(reply));
    }
  }
  for (const auto& [name, reply] : accepted) {
    const std::string line = StrCat(name, ": ", outcome);
    note(FinishOperation(args, session, reply, [line](const api::Operation&) {
      return absl::StatusOr<std::string>(line);
    }));
  }
  return first;
}

absl::Status Verb(const Args& args, Session& session, std::string_view verb,
                  std::string_view outcome) {
  return ForEachName(
      args, session,
      [verb](const std::string& name) {
        return Write("POST", ApiPath({"containers", name, verb}));
      },
      outcome);
}

absl::Status Start(const Args& args, Session& session) {
  return Verb(args, session, "start", "running");
}
absl::Status Stop(const Args& args, Session& session) {
  return Verb(args, session, "stop", "stopped");
}
absl::Status Restart(const Args& args, Session& session) {
  return Verb(args, session, "restart", "restarted");
}
absl::Status Freeze(const Args& args, Session& session) {
  return Verb(args, session, "freeze", "frozen");
}
absl::Status Rebuild(const Args& args, Session& session) {
  return Verb(args, session, "rebuild", "rebuilt");
}

absl::Status Delete(const Args& args, Session& session) {
  return ForEachName(
      args, session,
      [](const std::string& name) {
        return Write("DELETE", ApiPath({"containers", name}));
      },
      "deleted");
}

absl::Status ShowLimits(const Args& args, Session& session) {
  BRAMBLE_ASSIGN_OR_RETURN(
      const ApiReply reply,
      session.controller.Send(Get(ApiPath({"containers", args.Positional(0)}))));
  if (FormatOf(args) != Format::kTable) {
    return PrintObject(args, session, ContainerResource(), reply.body);
  }
  BRAMBLE_ASSIGN_OR_RETURN(const json::value container, ParseJson(reply.body));
  const std::vector<Column> columns = {
      {.name = "cpu", .path = "spec.limits.cpu_milli", .as = As::kCpu},
      {.name = "cpu-weight", .path = "spec.cpu_weight"},
      {.name = "memory", .path = "spec.limits.memory_bytes", .as = As::kSize},
      {.name = "swap", .path = "spec.swap_bytes", .as = As::kSize},
      {.name = "disk", .path = "spec.limits.disk_bytes", .as = As::kLimitSize},
      {.name = "disk-limit", .path = "status.disk_limit_mode"},
      {.name = "pids", .path = "spec.limits.pids"},
      {.name = "groups", .path = "spec.groups"},
      {.name = "bandwidth", .path = "spec.bandwidth"}};
  session.out << RenderDetails(columns, container, session.clock.Wall(), session.screen.colours);
  return absl::OkStatus();
}

absl::Status Limits(const Args& args, Session& session) {
  json::object body;
  BRAMBLE_RETURN_IF_ERROR(AddLimits(args, body));
  BRAMBLE_RETURN_IF_ERROR(AddNetwork(args, body));
  if (args.Has("flavor")) {
    body["flavor"] = args.Text("flavor");
  }
  if (body.empty()) {
    return ShowLimits(args, session);
  }
  const std::string name = args.Positional(0);
  BRAMBLE_ASSIGN_OR_RETURN(
      const ApiReply reply,
      session.controller.Send(Write("PATCH", ApiPath({"containers", name}), json::value(body))));
  return FinishOperation(args, session, reply, [name](const api::Operation&) {
    return absl::StatusOr<std::string>(StrCat(name, ": limits changed"));
  });
}

Command VerbRow(std::string_view path, std::string_view summary, std::string_view examples,
                absl::Status (*run)(const Args&, Session&)) {
  return {.path = path,
          .summary = summary,
          .positionals = {{.name = "NAME",
                           .help = "one or more containers",
                           .completes = Completes::kContainers,
                           .repeats = true}},
          .answers = Answers::kOperation,
          .examples = examples,
          .run = run};
}

std::vector<Flag> LimitsFlags() {
  std::vector<Flag> flags = LimitFlags();
  flags.insert(flags.begin(), {.name = "flavor",
                               .value = "FLAVOR",
                               .help = "the limits of this flavor",
                               .completes = Completes::kFlavors});
  const std::vector<Flag> network = NetworkFlags();
  flags.insert(flags.end(), network.begin(), network.end());
  return flags;
}

}  // namespace

std::vector<Command> ContainerCommands() {
  const Positional name = {
      .name = "NAME", .help = "the container", .completes = Completes::kContainers};
  return {
      {.path = "container list",
       .summary = "List the containers.",
       .answers = Answers::kList,
       .examples = "bramble container list\n"
                   "bramble container list --filter state=running,label.app=web\n"
                   "bramble container list --columns name,node,memory,spec.restart.policy",
       .run = List},
      {.path = "container show",
       .summary = "Show one container.",
       .positionals = {name},
       .answers = Answers::kObject,
       .examples = "bramble container show web\nbramble container show web -o yaml",
       .run = Show},
      VerbRow("container start", "Start containers, or thaw frozen ones.",
              "bramble container start web db", Start),
      VerbRow("container stop", "Stop containers; what does not end within its grace is killed.",
              "bramble container stop web", Stop),
      VerbRow("container restart", "Stop containers and start them again.",
              "bramble container restart web", Restart),
      VerbRow("container freeze", "Halt every process where it is; `start` goes on.",
              "bramble container freeze web", Freeze),
      VerbRow("container rebuild",
              "Start again from the image with a fresh writable layer: what was written is lost.",
              "bramble container rebuild web", Rebuild),
      VerbRow("container delete", "Stop containers and delete them with their data.",
              "bramble container delete web", Delete),
      {.path = "container limits",
       .summary = "Show the limits of a container, or change them while it runs.",
       .positionals = {name},
       .flags = LimitsFlags(),
       .answers = Answers::kOperation,
       .details = "Without a flag it shows them.",
       .examples =
           "bramble container limits web\nbramble container limits web --memory 1GiB --cpu 2",
       .run = Limits},
  };
}

}  // namespace bramble::cli
