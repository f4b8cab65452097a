// SPDX-License-Identifier: Apache-2.0
// container run, create.
#include "base/ids.h"
#include "base/status.h"
#include "tools/bramble/container_context.h"
#include "tools/bramble/container_spec.h"
#include "tools/bramble/operation_wait.h"
#include "tools/bramble/resources.h"

namespace bramble::cli {
namespace {

// "web: running on pi-1, 172.16.0.64".
absl::StatusOr<std::string> Whereabouts(Session& session, const std::string& name) {
  BRAMBLE_ASSIGN_OR_RETURN(const ApiReply reply,
                           session.controller.Send(Get(ApiPath({"containers", name}))));
  BRAMBLE_ASSIGN_OR_RETURN(const json::value container, ParseJson(reply.body));
  const std::string node = TextAt(container, "status.node");
  const std::string address = TextAt(container, "status.address");
  const std::string reason = TextAt(container, "status.reason");
  return StrCat(name, ": ", TextAt(container, "status.state"),
                node.empty() ? "" : StrCat(" on ", node),
                address.empty() ? "" : StrCat(", ", address),
                reason.empty() ? "" : StrCat(" (", reason, ")"));
}

absl::Status Create(const Args& args, Session& session, std::string_view desired) {
  const std::string name = args.Positional(0);
  if (const absl::Status valid = CheckName("container", name); !valid.ok()) {
    return Misuse(MessageOf(valid));
  }
  BRAMBLE_ASSIGN_OR_RETURN(json::object body, ContainerBody(args, name));
  BRAMBLE_RETURN_IF_ERROR(AddContext(args, session.err, body));
  if (!desired.empty()) {
    body["desired"] = desired;
  }
  BRAMBLE_ASSIGN_OR_RETURN(
      const ApiReply reply,
      session.controller.Send(Write("POST", ApiPath({"containers"}), json::value(body))));
  return FinishOperation(args, session, reply, [&session, name](const api::Operation&) {
    return Whereabouts(session, name);
  });
}

absl::Status Run(const Args& args, Session& session) { return Create(args, session, ""); }

absl::Status CreateStopped(const Args& args, Session& session) {
  return Create(args, session, "stopped");
}

}  // namespace

std::vector<Command> ContainerRunCommands() {
  std::vector<Flag> flags = ContainerSpecFlags();
  const std::vector<Flag> context = ContextFlags();
  flags.insert(flags.end(), context.begin(), context.end());
  const std::vector<Positional> positionals = {
      {.name = "NAME", .help = "the container's name: lower-case letters, digits and '-'"}};
  return {
      {.path = "container run",
       .summary = "Create a container and start it.",
       .positionals = positionals,
       .flags = flags,
       .answers = Answers::kOperation,
       .details =
           "Waits until it runs. A container that no node can hold stays pending and says why:\n"
           "`bramble container show NAME`, `bramble plan --explain`.\n"
           "What it is told at its first start goes to cloud-init where its image has that; else "
           "its keys, its\nuser and its shell scripts are seen to, once. 64 KiB in all; it holds "
           "until a rebuild, and then anew.",
       .examples = "bramble container run web --image debian:12\n"
                   "bramble container run web --image debian:12 --flavor medium --memory 768MiB "
                   "--require disk=ssd\n"
                   "bramble container run job --image busybox --class movable --prefer rack=a:10 "
                   "-e MODE=fast\n"
                   "bramble container run web --image debian --key ada --context "
                   "x-shellscript,setup.sh --set-secret db=pw.txt",
       .run = Run},
      {.path = "container create",
       .summary = "Create a container and leave it stopped.",
       .positionals = positionals,
       .flags = flags,
       .answers = Answers::kOperation,
       .examples = "bramble container create web --image debian:12",
       .run = CreateStopped},
  };
}

}  // namespace bramble::cli
