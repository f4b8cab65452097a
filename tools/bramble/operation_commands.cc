// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"
#include "tools/bramble/operation_wait.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

std::string NameText(const json::value& operation) { return TextAt(operation, "id"); }

std::string ObjectText(const json::value& operation) {
  return StrCat(TextAt(operation, "object.kind"), " ", TextAt(operation, "object.name"));
}

std::string MessageText(const json::value& operation) {
  const std::string error = TextAt(operation, "error.detail");
  return error.empty() ? TextAt(operation, "message") : error;
}

std::string PercentText(const json::value& operation) { return TextAt(operation, "percent") + "%"; }

absl::Status List(const Args& args, Session& session) {
  return PrintList(args, session, OperationResource());
}

absl::Status Show(const Args& args, Session& session) {
  if (!args.Has("wait")) {
    return PrintOne(args, session, OperationResource(), args.Positional(0));
  }
  BRAMBLE_ASSIGN_OR_RETURN(const auto limit, args.Seconds("timeout"));
  BRAMBLE_ASSIGN_OR_RETURN(
      const WaitedOperation waited,
      WaitForOperation(session, args.Positional(0), limit.value_or(kDefaultWait)));
  BRAMBLE_RETURN_IF_ERROR(PrintObject(args, session, OperationResource(), waited.body));
  return StatusOf(waited.operation);
}

absl::Status Cancel(const Args& args, Session& session) {
  const std::string id = args.Positional(0);
  BRAMBLE_ASSIGN_OR_RETURN(
      const ApiReply reply,
      session.controller.Send(Write("POST", ApiPath({"operations", id, "cancel"}))));
  if (FormatOf(args) != Format::kTable) {
    return PrintObject(args, session, OperationResource(), reply.body);
  }
  session.out << Printable(id) << ": asked to stop\n";
  return absl::OkStatus();
}

}  // namespace

const Resource& OperationResource() {
  static const Resource resource = {
      .kind = "operation",
      .collection = "operations",
      .columns =
          {
              {.name = "id", .path = "id"},
              {.name = "kind", .path = "kind"},
              {.name = "object", .text = ObjectText},
              {.name = "state", .path = "state", .as = As::kState},
              {.name = "done", .text = PercentText},
              {.name = "age", .path = "created_at", .as = As::kAge},
              {.name = "message", .text = MessageText},
              {.name = "by", .path = "created_by", .wide = true},
              {.name = "error-code", .path = "error.code", .wide = true},
              {.name = "result", .path = "result", .wide = true},
          },
      .name = NameText};
  return resource;
}

std::vector<Command> OperationCommands() {
  const Positional id = {
      .name = "ID", .help = "the operation", .completes = Completes::kOperations};
  return {
      {.path = "operation list",
       .summary = "List what takes or took time, newest first.",
       .answers = Answers::kList,
       .examples = "bramble operation list --filter state=running",
       .run = List},
      {.path = "operation show",
       .summary = "Show one operation, or wait for it.",
       .positionals = {id},
       .flags = {{.name = "wait", .value = "", .help = "wait until it is finished"},
                 {.name = "timeout", .value = "TIME", .help = "wait at most (15m)"}},
       .answers = Answers::kObject,
       .examples = "bramble operation show 7f3k9m2p5q8r1s4t --wait",
       .run = Show},
      {.path = "operation cancel",
       .summary = "Ask for an operation to be stopped.",
       .positionals = {id},
       .answers = Answers::kObject,
       .examples = "bramble operation cancel 7f3k9m2p5q8r1s4t",
       .run = Cancel},
  };
}

}  // namespace bramble::cli
