// SPDX-License-Identifier: Apache-2.0
#include <time.h>

#include <cstdlib>

#include "base/status.h"
#include "tools/bramble/credentials.h"
#include "tools/bramble/resources.h"

namespace bramble::cli {
namespace {

constexpr std::chrono::seconds kMaxClockDifference{120};

// What was looked at, and what came of it.
class Findings {
 public:
  void Good(std::string_view check, std::string_view text) { Add(check, "ok", text); }
  void Warn(std::string_view check, std::string_view text) { Add(check, "warning", text); }
  void Bad(std::string_view check, std::string_view text) {
    Add(check, "failed", text);
    ++bad_;
  }
  int bad() const { return bad_; }
  const json::array& rows() const { return rows_; }

 private:
  void Add(std::string_view check, std::string_view result, std::string_view text) {
    rows_.push_back(json::object{{"check", check}, {"result", result}, {"message", text}});
  }
  json::array rows_;
  int bad_ = 0;
};

void CheckClock(Session& session, const std::string& date, Findings& findings) {
  struct tm parsed = {};
  // RFC 9110, section 5.6.7: IMF-fixdate.
  if (date.empty() || ::strptime(date.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parsed) == nullptr) {
    return;
  }
  const auto server = std::chrono::system_clock::from_time_t(::timegm(&parsed));
  const auto difference = std::chrono::abs(
      std::chrono::duration_cast<std::chrono::seconds>(session.clock.Wall() - server));
  if (difference > kMaxClockDifference) {
    findings.Warn("clock", StrCat("this machine and the controller differ by ", difference.count(),
                                  " s; set the one that is wrong"));
  } else {
    findings.Good("clock", "agrees with the controller's");
  }
}

void CheckCluster(const json::value& cluster, Findings& findings) {
  findings.Good("controller", StrCat("version ", TextAt(cluster, "version"), ", epoch ",
                                     TextAt(cluster, "epoch")));
  if (TextAt(cluster, "version") != BRAMBLE_VERSION) {
    findings.Warn("version", StrCat("the controller has ", TextAt(cluster, "version"),
                                    ", this program is " BRAMBLE_VERSION));
  }
  if (TextAt(cluster, "moves_frozen") == "yes") {
    findings.Warn("moves", StrCat("nothing is moved: ", TextAt(cluster, "moves_frozen_reason")));
  }
  const json::value* conditions = At(cluster, "conditions");
  if (conditions == nullptr || !conditions->is_array()) {
    return;
  }
  for (const json::value& condition : conditions->get_array()) {
    const std::string text = StrCat(TextAt(condition, "type"), ": ", TextAt(condition, "message"));
    const std::string severity = TextAt(condition, "severity");
    if (severity == "critical") {
      findings.Bad("cluster", text);
    } else if (severity == "warning") {
      findings.Warn("cluster", text);
    }
  }
}

const json::array* ItemsOf(const json::value& list) {
  const json::value* items = At(list, "items");
  return items != nullptr && items->is_array() ? &items->get_array() : nullptr;
}

void CheckNodes(const json::array& nodes, Findings& findings) {
  size_t ready = 0;
  for (const json::value& node : nodes) {
    const std::string name = StrCat("node ", TextAt(node, "name"));
    const std::string state = TextAt(node, "state");
    const std::string reason = TextAt(node, "reason");
    ready += state == "ready" ? 1 : 0;
    if (state == "unreachable" || state == "held") {
      findings.Bad(name, StrCat(state, reason.empty() ? "" : ": ", reason));
    } else if (state == "pending" || state == "suspect") {
      findings.Warn(name, StrCat(state, reason.empty() ? "" : ": ", reason));
    }
    const json::value* conditions = At(node, "conditions");
    if (conditions == nullptr || !conditions->is_array()) {
      continue;
    }
    for (const json::value& condition : conditions->get_array()) {
      const std::string severity = TextAt(condition, "severity");
      if (severity == "critical") {
        findings.Bad(name, TextAt(condition, "message"));
      } else if (severity == "warning") {
        findings.Warn(name, TextAt(condition, "message"));
      }
    }
  }
  const std::string text = StrCat(ready, " of ", nodes.size(), " ready");
  if (nodes.empty()) {
    findings.Warn("nodes", "none has joined; make a token with `bramble token create`");
  } else {
    findings.Good("nodes", text);
  }
}

void CheckContainers(const json::array& containers, Findings& findings) {
  size_t fine = 0;
  for (const json::value& container : containers) {
    const std::string state = TextAt(container, "status.state");
    const std::string reason = TextAt(container, "status.reason");
    const bool odd = state == "pending" || state == "failed" || state == "unknown" ||
                     state == "orphaned" || (state == "starting" && !reason.empty());
    fine += odd ? 0 : 1;
    if (odd) {
      findings.Warn(StrCat("container ", TextAt(container, "name")), StrCat(state, ": ", reason));
    }
  }
  findings.Good("containers", StrCat(fine, " of ", containers.size(), " as they should be"));
}

// What the controller and its nodes see of the network, each with its remedy.
void CheckNetwork(Session& session, Findings& findings) {
  const absl::StatusOr<ApiReply> reply =
      session.controller.Send(Get(ApiPath({"network", "findings"})));
  const absl::StatusOr<json::value> list =
      reply.ok() ? ParseJson(reply->body) : absl::StatusOr<json::value>(reply.status());
  const json::array* items = list.ok() ? ItemsOf(*list) : nullptr;
  if (items == nullptr) {
    findings.Bad("network", list.ok() ? "no list" : MessageOf(list.status()));
    return;
  }
  for (const json::value& item : *items) {
    const std::string check = StrCat("network ", TextAt(item, "check"));
    const std::string object = TextAt(item, "object");
    const std::string text = StrCat(object, object.empty() ? "" : ": ", TextAt(item, "cause"), "; ",
                                    TextAt(item, "fix"));
    if (TextAt(item, "severity") == "critical") {
      findings.Bad(check, text);
    } else {
      findings.Warn(check, text);
    }
  }
  if (items->empty()) {
    findings.Good("network", "nothing wrong was found");
  }
}

void AskController(Session& session, Findings& findings) {
  const absl::StatusOr<ApiReply> reply = session.controller.Send(Get(ApiPath({"cluster"})));
  if (!reply.ok()) {
    findings.Bad("controller", MessageOf(reply.status()));
    return;
  }
  CheckClock(session, reply->date, findings);
  const absl::StatusOr<json::value> cluster = ParseJson(reply->body);
  if (!cluster.ok()) {
    findings.Bad("controller", "its answer is not JSON; is it a Bramble controller?");
    return;
  }
  CheckCluster(*cluster, findings);
  const absl::StatusOr<ApiReply> ready = session.controller.Send(Get("/readyz"));
  if (ready.ok()) {
    findings.Good("store", "accepts writes");
  } else {
    findings.Bad("store", MessageOf(ready.status()));
  }
  CheckNetwork(session, findings);
  for (const std::string_view collection : {"nodes", "containers"}) {
    const absl::StatusOr<ApiReply> listed = session.controller.Send(Get(ApiPath({collection})));
    const absl::StatusOr<json::value> list = listed.ok()
                                                 ? ParseJson(listed->body, 64 << 20)
                                                 : absl::StatusOr<json::value>(listed.status());
    const json::array* items = list.ok() ? ItemsOf(*list) : nullptr;
    if (items == nullptr) {
      findings.Bad(collection, list.ok() ? "no list" : MessageOf(list.status()));
    } else if (collection == "nodes") {
      CheckNodes(*items, findings);
    } else {
      CheckContainers(*items, findings);
    }
  }
}

absl::Status Doctor(const Args& args, Session& session) {
  Findings findings;
  const absl::StatusOr<Credential> credential = session.credentials.Choose(session.controller_flag);
  if (credential.ok()) {
    findings.Good("credential",
                  StrCat(credential->url, " in ", session.credentials.file().string()));
    AskController(session, findings);
  } else {
    findings.Bad("credential", MessageOf(credential.status()));
  }
  const json::value answer = json::object{{"items", findings.rows()}};
  if (FormatOf(args) == Format::kTable) {
    std::vector<const json::value*> rows;
    for (const json::value& row : answer.get_object().at("items").get_array()) {
      rows.push_back(&row);
    }
    const std::vector<Column> columns = {{.name = "check", .path = "check"},
                                         {.name = "result", .path = "result", .as = As::kState},
                                         {.name = "message", .path = "message"}};
    session.out << RenderTable(columns, rows, session.clock.Wall(), session.screen.colours);
  } else {
    BRAMBLE_RETURN_IF_ERROR(PrintObject(args, session, {.kind = "findings", .collection = ""},
                                        json::serialize(answer)));
  }
  return findings.bad() == 0
             ? absl::OkStatus()
             : absl::FailedPreconditionError(
                   StrCat(findings.bad(), " check(s) failed; the messages say what to do"));
}

}  // namespace

std::vector<Command> ClusterDoctorCommands() {
  return {{.path = "cluster doctor",
           .summary = "Look for what is wrong: credential, controller, clock, nodes, containers.",
           .answers = Answers::kObject,
           .details = "Exit 1 when something failed; warnings alone exit 0.",
           .examples = "bramble cluster doctor",
           .run = Doctor}};
}

}  // namespace bramble::cli
