// SPDX-License-Identifier: Apache-2.0
// cluster status, leave-adoption, allow-moves.
#include "base/status.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

// "3 ready, 1 off".
std::string CountsText(const json::value& cluster, std::string_view field) {
  std::string text;
  const json::value* counts = At(cluster, field);
  if (counts != nullptr && counts->is_object()) {
    for (const auto& [state, count] : counts->get_object()) {
      if (TextOf(count) != "0") {
        text = StrCat(text, text.empty() ? "" : ", ", TextOf(count), " ",
                      std::string_view(state.data(), state.size()));
      }
    }
  }
  return text.empty() ? "none" : text;
}

std::string NodesText(const json::value& cluster) { return CountsText(cluster, "nodes"); }
std::string ContainersText(const json::value& cluster) { return CountsText(cluster, "containers"); }

std::string MovesText(const json::value& cluster) {
  return TextAt(cluster, "moves_frozen") == "yes"
             ? StrCat("frozen: ", TextAt(cluster, "moves_frozen_reason"))
             : "";
}

std::string AdoptingText(const json::value& cluster) {
  return TextAt(cluster, "adopting") == "yes"
             ? "yes: after a restore or a roll-back nothing is deleted or moved"
             : "";
}

const Resource& ClusterResource() {
  static const Resource resource = {
      .kind = "cluster",
      .collection = "cluster",
      .columns = {{.name = "name", .path = "name"},
                  {.name = "version", .path = "version"},
                  {.name = "network", .path = "prefix"},
                  {.name = "nodes", .text = NodesText},
                  {.name = "containers", .text = ContainersText},
                  {.name = "moves", .text = MovesText},
                  {.name = "adopting", .text = AdoptingText},
                  {.name = "epoch", .path = "epoch"},
                  {.name = "revision", .path = "revision"},
                  {.name = "certificate", .path = "certificate_sha256"},
                  {.name = "id", .path = "id"}}};
  return resource;
}

absl::Status Status(const Args& args, Session& session) {
  BRAMBLE_ASSIGN_OR_RETURN(const ApiReply reply,
                           session.controller.Send(Get(ApiPath({"cluster"}))));
  BRAMBLE_RETURN_IF_ERROR(PrintObject(args, session, ClusterResource(), reply.body));
  if (FormatOf(args) != Format::kTable) {
    return absl::OkStatus();
  }
  BRAMBLE_ASSIGN_OR_RETURN(const json::value cluster, ParseJson(reply.body));
  const json::value* conditions = At(cluster, "conditions");
  if (conditions == nullptr || !conditions->is_array() || conditions->get_array().empty()) {
    return absl::OkStatus();
  }
  std::vector<const json::value*> rows;
  for (const json::value& condition : conditions->get_array()) {
    rows.push_back(&condition);
  }
  const std::vector<Column> columns = {{.name = "severity", .path = "severity", .as = As::kState},
                                       {.name = "condition", .path = "type"},
                                       {.name = "message", .path = "message"}};
  session.out << '\n' << RenderTable(columns, rows, session.clock.Wall(), session.screen.colours);
  return absl::OkStatus();
}

absl::Status Order(Session& session, std::string_view verb, std::string_view outcome) {
  BRAMBLE_RETURN_IF_ERROR(
      session.controller.Send(Write("POST", ApiPath({"cluster", verb}))).status());
  session.out << outcome << '\n';
  return absl::OkStatus();
}

absl::Status LeaveAdoption(const Args&, Session& session) {
  return Order(session, "leave-adoption", "adoption left: the cluster deletes and moves again");
}

absl::Status AllowMoves(const Args&, Session& session) {
  return Order(session, "allow-moves", "moves allowed: containers of silent nodes move again");
}

}  // namespace

std::vector<Command> ClusterCommands() {
  return {{.path = "cluster status",
           .summary = "Show the cluster: nodes and containers by state, and what needs attention.",
           .answers = Answers::kObject,
           .examples = "bramble cluster status",
           .run = Status},
          {.path = "cluster leave-adoption",
           .summary = "After a restore: delete and move again, without waiting for silent nodes.",
           .examples = "bramble cluster leave-adoption",
           .run = LeaveAdoption},
          {.path = "cluster allow-moves",
           .summary = "After many nodes fell silent at once: move their containers all the same.",
           .examples = "bramble cluster allow-moves",
           .run = AllowMoves}};
}

}  // namespace bramble::cli
