// SPDX-License-Identifier: Apache-2.0
#include "api/public_key.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/status.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

absl::StatusOr<std::string> KeyText(const std::string& path, Session& session) {
  if (path != "-") {
    return ReadFile(path, 2 * api::kMaxPublicKeyBytes);
  }
  std::string text;
  char c = 0;
  while (text.size() < 2 * api::kMaxPublicKeyBytes && session.in.get(c)) {
    text += c;
  }
  return text;
}

absl::Status Add(const Args& args, Session& session) {
  const std::string name = args.Positional(0);
  const std::string path = args.Positional(1);
  if (const absl::Status valid = CheckName("key", name); !valid.ok()) {
    return Misuse(MessageOf(valid));
  }
  BRAMBLE_ASSIGN_OR_RETURN(const std::string text, KeyText(path, session));
  // Before it is sent: it may be a private one.
  const absl::StatusOr<api::PublicKey> key = api::ParsePublicKey(text);
  if (!key.ok()) {
    return Annotate(key.status(), path == "-" ? "standard input" : path);
  }
  const json::object body = {{"name", name}, {"public_key", key->str()}};
  BRAMBLE_ASSIGN_OR_RETURN(
      const ApiReply reply,
      session.controller.Send(Write("POST", ApiPath({"keys"}), json::value(body))));
  return PrintObject(args, session, KeyResource(), reply.body);
}

absl::Status List(const Args& args, Session& session) {
  return PrintList(args, session, KeyResource());
}

absl::Status Delete(const Args& args, Session& session) {
  const std::string name = args.Positional(0);
  BRAMBLE_RETURN_IF_ERROR(
      session.controller.Send(Write("DELETE", ApiPath({"keys", name}))).status());
  session.out << Printable(name) << ": deleted\n";
  return absl::OkStatus();
}

}  // namespace

const Resource& KeyResource() {
  static const Resource resource = {
      .kind = "key",
      .collection = "keys",
      .columns = {{.name = "name", .path = "name"},
                  {.name = "type", .path = "type"},
                  {.name = "bits", .path = "bits", .wide = true},
                  {.name = "fingerprint", .path = "fingerprint"},
                  {.name = "comment", .path = "comment"},
                  {.name = "age", .path = "created_at", .as = As::kAge},
                  {.name = "public-key", .path = "public_key", .wide = true},
                  {.name = "project", .path = "project", .wide = true},
                  {.name = "generation", .path = "generation", .wide = true}}};
  return resource;
}

std::vector<Command> KeyCommands() {
  return {
      {.path = "key add",
       .summary = "Keep a public ssh key under a name, for `container run --key`.",
       .positionals = {{.name = "NAME", .help = "its name: a person's, say"},
                       {.name = "FILE",
                        .help = "the public key, id_ed25519.pub; - is standard input",
                        .completes = Completes::kFiles}},
       .answers = Answers::kObject,
       .examples = "bramble key add ada ~/.ssh/id_ed25519.pub\n"
                   "ssh-add -L | head -n 1 | bramble key add ada -",
       .run = Add},
      {.path = "key list",
       .summary = "List the ssh keys, with their fingerprints.",
       .answers = Answers::kList,
       .examples = "bramble key list",
       .run = List},
      {.path = "key delete",
       .summary = "Forget an ssh key; containers made with it keep it.",
       .positionals = {{.name = "NAME", .help = "the key", .completes = Completes::kKeys}},
       .examples = "bramble key delete ada",
       .run = Delete},
  };
}

}  // namespace bramble::cli
