// SPDX-License-Identifier: Apache-2.0
#include "api/security_group.h"

#include <charconv>

#include "api/json_lists.h"
#include "base/ids.h"
#include "base/status.h"

#include "absl/strings/str_split.h"

namespace bramble::api {
namespace {

constexpr size_t kMaxNote = 256;
constexpr size_t kMaxLabelPorts = 64;
constexpr int64_t kMaxPort = 65535;

json::string_view Name(std::string_view text) { return {text.data(), text.size()}; }

template <typename Enum, size_t kCount>
std::optional<Enum> FindEnum(std::string_view text, const std::string_view (&names)[kCount]) {
  for (size_t i = 0; i < kCount; ++i) {
    if (names[i] == text) {
      return static_cast<Enum>(i);
    }
  }
  return std::nullopt;
}

bool HasPorts(Protocol protocol) {
  return protocol == Protocol::kTcp || protocol == Protocol::kUdp;
}

absl::Status BadPort(std::string_view text) {
  return absl::InvalidArgumentError(
      StrCat("\"", text.substr(0, 40), "\": a port is 1 to 65535, a range is FIRST-LAST"));
}

absl::StatusOr<uint16_t> ParsePort(std::string_view text) {
  int64_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port < 1 || port > kMaxPort ||
      text.front() == '0') {
    return BadPort(text);
  }
  return static_cast<uint16_t>(port);
}

// "80" or "8000-8100".
absl::Status ParsePorts(std::string_view text, SecurityRule& rule) {
  const size_t dash = text.find('-');
  BRAMBLE_ASSIGN_OR_RETURN(rule.port_first, ParsePort(text.substr(0, dash)));
  rule.port_last = rule.port_first;
  if (dash != std::string_view::npos) {
    BRAMBLE_ASSIGN_OR_RETURN(rule.port_last, ParsePort(text.substr(dash + 1)));
  }
  return rule.port_first <= rule.port_last ? absl::OkStatus() : BadPort(text);
}

absl::Status CheckRule(const SecurityRule& rule) {
  if (rule.port_first != 0 && !HasPorts(rule.protocol)) {
    return absl::InvalidArgumentError("ports go with protocol tcp or udp only");
  }
  const int peers = (rule.prefix.has_value() ? 1 : 0) + (rule.group.empty() ? 0 : 1) +
                    (rule.from_project ? 1 : 0);
  if (peers > 1) {
    return absl::InvalidArgumentError(
        "prefix, group and from_project exclude each other; write a rule for each");
  }
  return rule.group.empty() ? absl::OkStatus() : CheckName("security group", rule.group);
}

absl::Status ParsePeer(const std::vector<std::string>& words, size_t at, SecurityRule& rule) {
  const std::string_view preposition = rule.direction == Direction::kIn ? "from" : "to";
  const bool group = words.size() == at + 3 && words[at + 1] == "group";
  if (words[at] != preposition || (words.size() != at + 2 && !group)) {
    return absl::InvalidArgumentError(StrCat("expected \"", preposition, " PREFIX\", \"",
                                             preposition, " group NAME\" or \"", preposition,
                                             " project\""));
  }
  if (group) {
    rule.group = words[at + 2];
    return absl::OkStatus();
  }
  if (words[at + 1] == "project") {
    rule.from_project = true;
    return absl::OkStatus();
  }
  if (words[at + 1] == "any") {
    return absl::OkStatus();
  }
  const bool bare = words[at + 1].find('/') == std::string::npos;
  BRAMBLE_ASSIGN_OR_RETURN(rule.prefix,
                           Ipv4Prefix::Parse(bare ? StrCat(words[at + 1], "/32") : words[at + 1]));
  return absl::OkStatus();
}

absl::StatusOr<SecurityRule> ParseWords(const std::vector<std::string>& words) {
  SecurityRule rule;
  const auto direction =
      words.empty() ? std::nullopt : FindEnum<Direction>(words[0], kDirectionNames);
  const auto protocol =
      words.size() < 2 ? std::nullopt : FindEnum<Protocol>(words[1], kProtocolNames);
  if (!direction.has_value() || !protocol.has_value()) {
    return absl::InvalidArgumentError(
        "expected in or out, then any, tcp, udp or icmp, such as \"in tcp 80 from 10.0.0.0/8\"");
  }
  rule.direction = *direction;
  rule.protocol = *protocol;
  size_t at = 2;
  if (words.size() > at && words[at] != "from" && words[at] != "to") {
    BRAMBLE_RETURN_IF_ERROR(ParsePorts(words[at], rule));
    ++at;
  }
  if (words.size() > at) {
    BRAMBLE_RETURN_IF_ERROR(ParsePeer(words, at, rule));
  }
  BRAMBLE_RETURN_IF_ERROR(CheckRule(rule));
  return rule;
}

std::string PortsText(const SecurityRule& rule) {
  return rule.port_first == rule.port_last ? StrCat(rule.port_first)
                                           : StrCat(rule.port_first, "-", rule.port_last);
}

}  // namespace

std::vector<SecurityGroup> BuiltinSecurityGroups(const ProjectName& project) {
  const auto open = [](uint16_t port) {
    return SecurityRule{.protocol = Protocol::kTcp, .port_first = port, .port_last = port};
  };
  return {{.name = kDefaultGroup,
           .project = project,
           .description = "everything from containers of the project, nothing else",
           .builtin = true,
           .rules = {{.from_project = true}}},
          {.name = "web",
           .project = project,
           .description = "web servers: tcp 80 and 443 from anywhere",
           .builtin = true,
           .rules = {open(80), open(443)}},
          {.name = "ssh",
           .project = project,
           .description = "secure shell: tcp 22 from anywhere",
           .builtin = true,
           .rules = {open(22)}}};
}

absl::StatusOr<SecurityRule> ParseSecurityRule(std::string_view text) {
  std::vector<std::string> words = absl::StrSplit(ToAbsl(text), ' ', absl::SkipEmpty());
  absl::StatusOr<SecurityRule> rule = ParseWords(words);
  if (!rule.ok()) {
    return Annotate(rule.status(), StrCat("rule \"", text.substr(0, 100), "\""));
  }
  return rule;
}

std::string ToString(const SecurityRule& rule) {
  std::string text = StrCat(kDirectionNames[static_cast<size_t>(rule.direction)], " ",
                            kProtocolNames[static_cast<size_t>(rule.protocol)]);
  if (rule.port_first != 0) {
    text = StrCat(text, " ", PortsText(rule));
  }
  const std::string_view preposition = rule.direction == Direction::kIn ? " from " : " to ";
  if (rule.prefix.has_value()) {
    return StrCat(text, preposition, rule.prefix->str());
  }
  if (!rule.group.empty()) {
    return StrCat(text, preposition, "group ", rule.group);
  }
  return rule.from_project ? StrCat(text, preposition, "project") : text;
}

json::object ToJson(const SecurityRule& rule) {
  json::object object = {{"direction", Name(kDirectionNames[static_cast<size_t>(rule.direction)])},
                         {"protocol", Name(kProtocolNames[static_cast<size_t>(rule.protocol)])}};
  if (rule.port_first != 0) {
    object["port_first"] = rule.port_first;
    object["port_last"] = rule.port_last;
  }
  if (rule.prefix.has_value()) {
    object["prefix"] = rule.prefix->str();
  }
  if (!rule.group.empty()) {
    object["group"] = rule.group;
  }
  if (rule.from_project) {
    object["from_project"] = true;
  }
  if (!rule.note.empty()) {
    object["note"] = rule.note;
  }
  return object;
}

absl::StatusOr<SecurityRule> SecurityRuleFromJson(const json::value& value, std::string path,
                                                  UnknownKeys unknown) {
  if (const json::string* text = value.if_string()) {
    absl::StatusOr<SecurityRule> rule = ParseSecurityRule({text->data(), text->size()});
    return rule.ok() ? rule : Annotate(rule.status(), path);
  }
  JsonObjectReader reader(value, path, unknown);
  SecurityRule rule;
  rule.direction = EnumField<Direction>(reader, "direction", kDirectionNames, Direction::kIn);
  rule.protocol = EnumField<Protocol>(reader, "protocol", kProtocolNames, Protocol::kAny);
  if (const auto first = reader.OptionalInt("port_first", {.min = 1, .max = kMaxPort})) {
    rule.port_first = static_cast<uint16_t>(*first);
    rule.port_last = static_cast<uint16_t>(
        reader.OptionalInt("port_last", {.min = *first, .max = kMaxPort}).value_or(*first));
  } else if (reader.Has("port_last")) {
    reader.Fail("port_last", "needs port_first");
  }
  if (reader.Has("prefix")) {
    rule.prefix = reader.Parsed<Ipv4Prefix>("prefix");
  }
  rule.group = reader.OptionalString("group").value_or("");
  rule.from_project = reader.OptionalBool("from_project").value_or(false);
  rule.note = reader.OptionalString("note", {.max = kMaxNote}).value_or("");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  if (const absl::Status status = CheckRule(rule); !status.ok()) {
    return Annotate(status, path);
  }
  return rule;
}

json::object ToJson(const SecurityGroup& group) {
  return {{"name", group.name},
          {"project", group.project.str()},
          {"generation", group.generation},
          {"description", group.description},
          {"builtin", group.builtin},
          {"rules", ObjectsToJson(group.rules)}};
}

absl::StatusOr<SecurityGroup> SecurityGroupFromJson(const json::value& value, std::string path,
                                                    UnknownKeys unknown) {
  JsonObjectReader reader(value, std::move(path), unknown);
  SecurityGroup group;
  group.name = reader.String("name");
  if (reader.ok()) {
    reader.Merge(CheckName("security group", group.name));
  }
  if (reader.Has("project")) {
    group.project = reader.Parsed<ProjectName>("project");
  }
  group.generation = reader.OptionalInt("generation", {.min = 0}).value_or(1);
  group.description = reader.OptionalString("description", {.max = kMaxNote}).value_or("");
  group.builtin = reader.OptionalBool("builtin").value_or(false);
  const auto read = [unknown](const json::value& rule, std::string at) {
    return SecurityRuleFromJson(rule, std::move(at), unknown);
  };
  group.rules = ObjectList<SecurityRule>(reader, "rules", kMaxRulesPerGroup, read);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return group;
}

absl::StatusOr<std::vector<SecurityRule>> ParsePortsLabel(std::string_view text) {
  std::vector<SecurityRule> rules;
  const std::vector<std::string> parts =
      absl::StrSplit(ToAbsl(text), absl::ByAnyChar(", "), absl::SkipEmpty());
  if (parts.size() > kMaxLabelPorts) {
    return absl::InvalidArgumentError(StrCat("ports: more than ", kMaxLabelPorts));
  }
  for (const std::string& part : parts) {
    SecurityRule rule{.protocol = Protocol::kTcp};
    const size_t slash = part.find('/');
    if (slash != std::string::npos) {
      const auto protocol = FindEnum<Protocol>(part.substr(slash + 1), kProtocolNames);
      if (!protocol.has_value() || !HasPorts(*protocol)) {
        return absl::InvalidArgumentError(
            StrCat("ports: \"", part.substr(0, 40), "\": expected PORT, PORT/tcp or PORT/udp"));
      }
      rule.protocol = *protocol;
    }
    BRAMBLE_RETURN_IF_ERROR(ParsePorts(std::string_view(part).substr(0, slash), rule));
    rules.push_back(std::move(rule));
  }
  return rules;
}

}  // namespace bramble::api
