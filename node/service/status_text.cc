// SPDX-License-Identifier: Apache-2.0
#include "node/service/status_text.h"

#include "absl/strings/str_format.h"

namespace bramble::node {

std::string FormatStatus(const json::value& status) {
  JsonObjectReader reader(status, "status");
  std::string text;
  const json::value nothing = json::object();
  const json::value* node = reader.Find("node");
  const json::value* controller = reader.Find("controller");
  JsonObjectReader named(node != nullptr ? *node : nothing, "node");
  JsonObjectReader link(controller != nullptr ? *controller : nothing, "controller");
  text += StrCat("node        ", named.OptionalString("name").value_or("(not joined)"), "\n");
  text += StrCat("controller  ", link.OptionalString("state").value_or(""), " ",
                 link.OptionalString("address").value_or(""), "\n");
  const std::string reason = link.OptionalString("reason", {.allow_control = true}).value_or("");
  if (!reason.empty()) {
    text += StrCat("            ", reason, "\n");
  }
  for (const json::value* entry : reader.List("conditions")) {
    JsonObjectReader condition(*entry, "condition");
    text += StrCat("condition   ", condition.OptionalString("severity").value_or(""), ": ",
                   condition.OptionalString("message", {.allow_control = true}).value_or(""), "\n");
  }
  text += absl::StrFormat("\n%-24s %-10s %-8s %s\n", "CONTAINER", "STATE", "RESTARTS", "REASON");
  for (const json::value* entry : reader.List("containers")) {
    JsonObjectReader container(*entry, "container");
    text +=
        absl::StrFormat("%-24s %-10s %-8d %s\n", container.OptionalString("name").value_or(""),
                        container.OptionalString("state").value_or(""),
                        container.OptionalInt("restarts").value_or(0),
                        container.OptionalString("reason", {.allow_control = true}).value_or(""));
  }
  return text;
}

}  // namespace bramble::node
