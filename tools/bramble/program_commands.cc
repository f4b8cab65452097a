// SPDX-License-Identifier: Apache-2.0
// completion, version: what the program says of itself.
#include "base/status.h"
#include "tools/bramble/completion.h"
#include "tools/bramble/operation_wait.h"
#include "tools/bramble/resources.h"

namespace bramble::cli {
namespace {

absl::Status Completion(const Args& args, Session& session) {
  session.out << CompletionScript(args.Positional(0));
  return absl::OkStatus();
}

absl::Status Version(const Args&, Session& session) {
  session.out << "bramble " BRAMBLE_VERSION "\n";
  return absl::OkStatus();
}

std::string_view CollectionOf(Completes what) {
  switch (what) {
    case Completes::kNodes:
      return "nodes";
    case Completes::kContainers:
      return "containers";
    case Completes::kImages:
      return "images";
    case Completes::kFlavors:
      return "flavors";
    case Completes::kKeys:
      return "keys";
    case Completes::kTokens:
      return "tokens";
    case Completes::kOperations:
      return "operations";
    default:
      return "";
  }
}

std::vector<std::string> ExistingNames(Session& session, Completes what) {
  std::vector<std::string> names;
  const std::string_view collection = CollectionOf(what);
  const absl::StatusOr<ApiReply> reply = session.controller.Send(Get(ApiPath({collection})));
  const absl::StatusOr<json::value> list =
      reply.ok() ? ParseJson(reply->body, 64 << 20) : absl::StatusOr<json::value>(reply.status());
  const json::value* items = list.ok() ? At(*list, "items") : nullptr;
  if (items == nullptr || !items->is_array()) {
    return names;
  }
  for (const json::value& item : items->get_array()) {
    names.push_back(what == Completes::kImages ? NameOf(ImageResource(), item)
                    : what == Completes::kTokens || what == Completes::kOperations
                        ? TextAt(item, "id")
                        : TextAt(item, "name"));
  }
  return names;
}

absl::Status Complete(const Args& args, Session& session) {
  std::vector<std::string> words = args.positionals();
  std::string typed;
  if (!words.empty()) {
    typed = std::move(words.back());
    words.pop_back();
  }
  const auto names = [&session](Completes what) { return ExistingNames(session, what); };
  for (const std::string& candidate : Candidates(AllCommands(), words, typed, names)) {
    session.out << candidate << '\n';
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<Command> ProgramCommands() {
  return {
      {.path = "completion",
       .summary = "Print the completion script of a shell.",
       .positionals = {{.name = "SHELL",
                        .help = "bash, zsh or fish",
                        .choices = {"bash", "zsh", "fish"}}},
       .examples = "source <(bramble completion bash)\nbramble completion fish | source",
       .run = Completion},
      {.path = "version",
       .summary = "Print the version of this program.",
       .examples = "bramble version",
       .run = Version},
      {.path = "__complete",
       .summary = "Print what may come next; the completion scripts ask this.",
       .positionals = {{.name = "WORD",
                        .help = "the words so far, the last one unfinished",
                        .optional = true,
                        .repeats = true}},
       .examples = "bramble __complete -- node sh",
       .run = Complete,
       .hidden = true},
  };
}

}  // namespace bramble::cli
