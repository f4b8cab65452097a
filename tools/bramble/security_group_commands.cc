// SPDX-License-Identifier: Apache-2.0
#include "api/security_group.h"
#include "base/status.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

std::string RulesText(const json::value& group) {
  std::string text;
  const json::value* rules = At(group, "rules");
  if (rules == nullptr || !rules->is_array()) {
    return text;
  }
  for (const json::value& value : rules->get_array()) {
    const absl::StatusOr<api::SecurityRule> rule =
        api::SecurityRuleFromJson(value, "rule", UnknownKeys::kIgnore);
    text = StrCat(text, text.empty() ? "" : "; ", rule.ok() ? ToString(*rule) : "?");
  }
  return text;
}

std::string CountText(const json::value& group) {
  const json::value* rules = At(group, "rules");
  return rules != nullptr && rules->is_array() ? StrCat(rules->get_array().size()) : "";
}

const Resource& GroupResource() {
  static const Resource resource = {
      .kind = "security group",
      .collection = "security-groups",
      .columns = {{.name = "name", .path = "name"},
                  {.name = "rules", .text = CountText},
                  {.name = "description", .path = "description"},
                  {.name = "builtin", .path = "builtin"},
                  {.name = "what", .wide = true, .text = RulesText},
                  {.name = "project", .path = "project", .wide = true},
                  {.name = "generation", .path = "generation", .wide = true}}};
  return resource;
}

// The words that make one rule: "in tcp 80" may come as one word or as several.
std::string RuleText(const Args& args, size_t from) {
  std::string text;
  for (size_t i = from; i < args.positionals().size(); ++i) {
    text = StrCat(text, text.empty() ? "" : " ", args.Positional(i));
  }
  return text;
}

absl::StatusOr<json::object> ParsedRule(const std::string& text) {
  const absl::StatusOr<api::SecurityRule> rule = api::ParseSecurityRule(text);
  if (!rule.ok()) {
    return Misuse(MessageOf(rule.status()));
  }
  return api::ToJson(*rule);
}

absl::Status List(const Args& args, Session& session) {
  return PrintList(args, session, GroupResource());
}

absl::Status Show(const Args& args, Session& session) {
  return PrintOne(args, session, GroupResource(), args.Positional(0));
}

absl::Status Create(const Args& args, Session& session) {
  json::array rules;
  for (const std::string& text : args.Texts("rule")) {
    BRAMBLE_ASSIGN_OR_RETURN(json::object rule, ParsedRule(text));
    rules.push_back(std::move(rule));
  }
  json::object body = {{"name", args.Positional(0)}, {"rules", std::move(rules)}};
  if (args.Has("description")) {
    body["description"] = args.Text("description");
  }
  BRAMBLE_ASSIGN_OR_RETURN(
      const ApiReply reply,
      session.controller.Send(Write("POST", ApiPath({"security-groups"}), json::value(body))));
  return PrintObject(args, session, GroupResource(), reply.body);
}

absl::Status Rule(const Args& args, Session& session) {
  BRAMBLE_ASSIGN_OR_RETURN(json::object rule, ParsedRule(RuleText(args, 2)));
  const json::object body = {
      {args.Positional(1) == "add" ? "add" : "remove", json::array{json::value(std::move(rule))}}};
  BRAMBLE_ASSIGN_OR_RETURN(
      const ApiReply reply,
      session.controller.Send(
          Write("PATCH", ApiPath({"security-groups", args.Positional(0)}), json::value(body))));
  return PrintObject(args, session, GroupResource(), reply.body);
}

absl::Status Delete(const Args& args, Session& session) {
  const std::string name = args.Positional(0);
  BRAMBLE_RETURN_IF_ERROR(
      session.controller.Send(Write("DELETE", ApiPath({"security-groups", name}))).status());
  session.out << Printable(name) << ": deleted\n";
  return absl::OkStatus();
}

}  // namespace

std::vector<Command> SecurityGroupCommands() {
  const Positional name = {.name = "NAME", .help = "the security group"};
  return {
      {.path = "security-group list",
       .summary = "List the security groups.",
       .answers = Answers::kList,
       .examples = "bramble security-group list",
       .run = List},
      {.path = "security-group show",
       .summary = "Show a security group and its rules.",
       .positionals = {name},
       .answers = Answers::kObject,
       .examples = "bramble security-group show web",
       .run = Show},
      {.path = "security-group create",
       .summary = "Make a security group.",
       .positionals = {name},
       .flags = {{.name = "rule",
                  .value = "RULE",
                  .help =
                      "\"in tcp 80\", \"in tcp 5432 from group web\", \"out udp 53 to 9.9.9.9\"",
                  .repeats = true},
                 {.name = "description", .value = "TEXT", .help = "for people"}},
       .answers = Answers::kObject,
       .details = "A rule lets something through; what no rule of a container's groups lets in is "
                  "dropped, answers always pass.\nWhat goes out is open until one of its groups "
                  "has a rule for it.",
       .examples = "bramble security-group create db --rule 'in tcp 5432 from group web'",
       .run = Create},
      {.path = "security-group rule",
       .summary = "Add a rule to a security group, or delete one.",
       .positionals = {name,
                       {.name = "add|delete", .help = "what to do", .choices = {"add", "delete"}},
                       {.name = "RULE", .help = "in tcp 80 from 10.0.0.0/8", .repeats = true}},
       .answers = Answers::kObject,
       .details = "Running containers follow within a second, and connections stay.",
       .examples = "bramble security-group rule web add in tcp 8080\n"
                   "bramble security-group rule web delete in tcp 8080",
       .run = Rule},
      {.path = "security-group delete",
       .summary = "Delete a security group that nothing uses.",
       .positionals = {name},
       .examples = "bramble security-group delete db",
       .run = Delete},
  };
}

}  // namespace bramble::cli
