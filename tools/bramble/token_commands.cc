// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

constexpr int64_t kMaxUses = 1000;

std::string NameText(const json::value& token) { return TextAt(token, "id"); }

std::string UsesText(const json::value& token) {
  return StrCat(TextAt(token, "uses"), "/", TextAt(token, "max_uses"));
}

std::string StateText(const json::value& token) {
  const json::value* uses = At(token, "uses");
  const json::value* max_uses = At(token, "max_uses");
  if (TextAt(token, "revoked") == "yes") {
    return "revoked";
  }
  return uses != nullptr && max_uses != nullptr && *uses == *max_uses ? "used up" : "open";
}

absl::Status List(const Args& args, Session& session) {
  return PrintList(args, session, TokenResource());
}

absl::Status Create(const Args& args, Session& session) {
  json::object body;
  BRAMBLE_ASSIGN_OR_RETURN(const auto uses, args.Int("max-uses", {.min = 1, .max = kMaxUses}));
  BRAMBLE_ASSIGN_OR_RETURN(const auto expires, args.Seconds("expires"));
  if (uses.has_value()) {
    body["max_uses"] = *uses;
  }
  if (expires.has_value()) {
    body["expires_s"] = expires->count();
  }
  if (args.Has("pool")) {
    body["pool"] = args.Text("pool");
  }
  BRAMBLE_ASSIGN_OR_RETURN(
      const ApiReply reply,
      session.controller.Send(Write("POST", ApiPath({"tokens"}), json::value(body))));
  if (FormatOf(args) == Format::kJson || FormatOf(args) == Format::kYaml) {
    return PrintObject(args, session, TokenResource(), reply.body);
  }
  BRAMBLE_ASSIGN_OR_RETURN(const json::value answer, ParseJson(reply.body));
  session.out << Printable(TextAt(answer, "join_token")) << '\n';
  if (FormatOf(args) == Format::kName) {
    return absl::OkStatus();
  }
  session.err << "Put it into /etc/bramble/node.toml (join_token = \"...\") or onto a card's "
                 "bramble.toml.\nIt lets "
              << TextAt(answer, "token.max_uses") << " node(s) join until "
              << TextAt(answer, "token.expires_at") << ", and is not shown again; `bramble token "
              << "revoke " << TextAt(answer, "token.id") << "` ends it.\n";
  return absl::OkStatus();
}

absl::Status Revoke(const Args& args, Session& session) {
  const std::string id = args.Positional(0);
  BRAMBLE_RETURN_IF_ERROR(
      session.controller.Send(Write("DELETE", ApiPath({"tokens", id}))).status());
  session.out << Printable(id) << ": revoked\n";
  return absl::OkStatus();
}

}  // namespace

const Resource& TokenResource() {
  static const Resource resource = {.kind = "token",
                                    .collection = "tokens",
                                    .columns =
                                        {
                                            {.name = "id", .path = "id"},
                                            {.name = "state", .as = As::kState, .text = StateText},
                                            {.name = "uses", .text = UsesText},
                                            {.name = "expires", .path = "expires_at"},
                                            {.name = "pool", .path = "pool"},
                                            {.name = "age", .path = "created_at", .as = As::kAge},
                                        },
                                    .name = NameText};
  return resource;
}

std::vector<Command> TokenCommands() {
  return {
      {.path = "token create",
       .summary = "Make a join token for nodes; it is printed once.",
       .flags = {{.name = "max-uses", .value = "N", .help = "how many nodes may join by it (1)"},
                 {.name = "expires", .value = "TIME", .help = "30m, 12h, 7d (24h)"},
                 {.name = "pool", .value = "POOL", .help = "the pool of those nodes (default)"}},
       .answers = Answers::kObject,
       .details =
           "The token alone goes to stdout; what to do with it goes to stderr, unless -o name.",
       .examples = "bramble token create --max-uses 20 --expires 2h",
       .run = Create},
      {.path = "token list",
       .summary = "List the join tokens, without their secrets.",
       .answers = Answers::kList,
       .examples = "bramble token list",
       .run = List},
      {.path = "token revoke",
       .summary = "End a token; nodes that joined by it stay.",
       .positionals = {{.name = "ID", .help = "the token's id", .completes = Completes::kTokens}},
       .examples = "bramble token revoke 4s5k0v8d2p6q9r1t3w7x",
       .run = Revoke},
  };
}

}  // namespace bramble::cli
