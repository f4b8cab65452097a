// SPDX-License-Identifier: Apache-2.0
// container exec, console, logs.
#include "base/status.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

constexpr int64_t kMaxTail = 1'000'000;
constexpr int kNotFoundCode = 127;  // POSIX.1-2017, "Shell Command Language", 2.8.2

// Asks for a ticket and gives the path of its stream.
absl::StatusOr<std::string> OpenStream(Session& session, std::string path, json::object body) {
  ApiRequest request;
  request.method = "POST";
  request.path = std::move(path);
  request.body = json::serialize(body);
  BRAMBLE_ASSIGN_OR_RETURN(const ApiReply reply, session.controller.Send(std::move(request)));
  BRAMBLE_ASSIGN_OR_RETURN(const json::value ticket, ParseJson(reply.body));
  std::string url = TextAt(ticket, "url");
  if (url.empty() || url[0] != '/') {
    return absl::DataLossError("the controller's ticket names no stream on itself");
  }
  return url;
}

absl::Status Exec(const Args& args, Session& session) {
  const std::string name = args.Positional(0);
  const auto& words = args.positionals();
  if (words.size() < 2) {
    return Misuse(StrCat("say which command: bramble container exec ", name, " -- ls -l /"));
  }
  const bool tty = args.Has("tty");
  const bool interactive = args.Has("interactive");
  if (tty && !session.screen.in_is_terminal && interactive) {
    return Misuse("-t with -i needs a terminal as stdin; leave -t out to pipe into a command");
  }
  json::object body = {{"command", json::array(words.begin() + 1, words.end())}};
  BRAMBLE_ASSIGN_OR_RETURN(auto environment, args.Map("env"));
  if (tty) {
    body["tty"] = true;
    body["rows"] = session.screen.rows;
    body["columns"] = session.screen.columns;
    environment.try_emplace("TERM", session.screen.type.empty() ? "xterm" : session.screen.type);
  }
  if (interactive) {
    body["interactive"] = true;
  }
  if (!environment.empty()) {
    json::object& into = body["environment"].emplace_object();
    for (const auto& [key, value] : environment) {
      into[key] = value;
    }
  }
  if (args.Has("user")) {
    body["user"] = args.Text("user");
  }
  if (args.Has("workdir")) {
    body["working_directory"] = args.Text("workdir");
  }
  BRAMBLE_ASSIGN_OR_RETURN(
      std::string url, OpenStream(session, ApiPath({"containers", name, "exec"}), std::move(body)));
  const StreamEnds ends = {.in = interactive ? 0 : -1,
                           .raw_terminal = tty && interactive && session.screen.in_is_terminal};
  const absl::StatusOr<StreamEnd> end = session.controller.Stream(std::move(url), ends);
  if (!end.ok()) {
    return Annotate(end.status(), StrCat("container \"", name, "\": exec"));
  }
  session.exit_code = end->exit_code;
  if (end->exit_code == kNotFoundCode && end->silent) {
    session.err << "bramble: container \"" << Printable(name) << "\": exec: \""
                << Printable(words[1]) << "\" was not found there\n";
  }
  return absl::OkStatus();
}

absl::Status Console(const Args& args, Session& session) {
  const std::string name = args.Positional(0);
  json::object body;
  if (session.screen.rows > 0) {
    body = {{"rows", session.screen.rows}, {"columns", session.screen.columns}};
  }
  BRAMBLE_ASSIGN_OR_RETURN(
      std::string url,
      OpenStream(session, ApiPath({"containers", name, "console"}), std::move(body)));
  session.err << "console of " << name << "; leave it with Ctrl-a q\n" << std::flush;
  const absl::StatusOr<StreamEnd> end = session.controller.Stream(
      std::move(url), {.raw_terminal = session.screen.in_is_terminal, .escape = true});
  if (!end.ok()) {
    return Annotate(end.status(), StrCat("container \"", name, "\": console"));
  }
  session.err << (end->left ? "\nleft the console\n" : "\nthe console was closed\n");
  return absl::OkStatus();
}

absl::Status Logs(const Args& args, Session& session) {
  ApiRequest request = Get(ApiPath({"containers", args.Positional(0), "logs"}));
  BRAMBLE_ASSIGN_OR_RETURN(const auto tail, args.Int("tail", {.min = 0, .max = kMaxTail}));
  if (tail.has_value()) {
    request.query.emplace_back("tail", std::to_string(*tail));
  }
  if (args.Has("follow")) {
    request.query.emplace_back("follow", "true");
  }
  return AsStatus(
      session.controller.SendForBytes(std::move(request), [&session](std::string_view bytes) {
        session.out << bytes << std::flush;
        return session.out.good() ? absl::OkStatus() : absl::CancelledError("stdout was closed");
      }));
}

}  // namespace

std::vector<Command> ContainerExecCommands() {
  const Positional name = {
      .name = "NAME", .help = "the container", .completes = Completes::kContainers};
  return {
      {.path = "container exec",
       .summary = "Run a command in a running container.",
       .positionals = {name,
                       {.name = "COMMAND",
                        .help = "the command and its arguments, after `--`",
                        .repeats = true}},
       .flags = {{.name = "tty", .value = "", .help = "give it a terminal", .letter = 't'},
                 {.name = "interactive", .value = "", .help = "give it stdin", .letter = 'i'},
                 {.name = "env",
                  .value = "KEY=VALUE",
                  .help = "environment variable",
                  .letter = 'e',
                  .repeats = true},
                 {.name = "user", .value = "USER", .help = "as this user (root)", .letter = 'u'},
                 {.name = "workdir", .value = "DIR", .help = "in this directory", .letter = 'w'}},
       .details =
           "Exits with the command's own exit code, 128 + N when signal N ended it. When bramble "
           "itself\n"
           "fails it exits 1, or 2 for a wrong command line, and says so on stderr in a line that\n"
           "starts with `bramble: `; only that tells the two apart.",
       .examples = "bramble container exec web -- ls -l /\n"
                   "bramble container exec -ti web -- bash\n"
                   "tar -c site | bramble container exec -i web -- tar -x -C /var/www",
       .run = Exec},
      {.path = "container console",
       .summary = "Join the terminal to a container's console; Ctrl-a q leaves it.",
       .positionals = {name},
       .examples = "bramble container console web",
       .run = Console},
      {.path = "container logs",
       .summary = "Print what a container's init wrote to its console.",
       .positionals = {name},
       .flags = {{.name = "follow",
                  .value = "",
                  .help = "go on as more is written, until Ctrl-C",
                  .letter = 'f'},
                 {.name = "tail", .value = "N", .help = "only the last N lines; 0: all kept (0)"}},
       .examples = "bramble container logs web --tail 100\nbramble container logs -f web",
       .run = Logs},
  };
}

}  // namespace bramble::cli
