// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/fake_controller.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/status.h"
#include "tools/bramble/output.h"

namespace bramble::cli {
namespace {

constexpr char kTime[] = "2023-11-14T22:03:20.000Z";  // ten minutes before FakeClock's start

std::vector<std::string> PartsOf(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    path.remove_prefix(1);
    const size_t slash = std::min(path.find('/'), path.size());
    parts.push_back(PercentDecode(path.substr(0, slash)).value_or("?"));
    path.remove_prefix(slash);
  }
  return parts;
}

std::string KeyOf(const json::object& object) {
  const json::value value(object);
  const std::string name = TextAt(value, "name");
  const std::string tag = TextAt(value, "tag");
  return name.empty() ? TextAt(value, "id") : tag.empty() ? name : StrCat(name, ":", tag);
}

std::string QueryOf(const ApiRequest& request, std::string_view key) {
  for (const auto& [name, value] : request.query) {
    if (name == key) {
      return value;
    }
  }
  return "";
}

json::object BodyOf(const ApiRequest& request) {
  const absl::StatusOr<json::value> body = ParseJson(request.body);
  return body.ok() && body->is_object() ? body->get_object() : json::object();
}

ApiReply Reply(int status, const json::value& body) {
  return {.status = status, .body = json::serialize(body)};
}

absl::Status Missing(std::string_view collection, std::string_view name) {
  std::string kind(collection.substr(0, collection.size() - 1));
  return absl::NotFoundError(
      StrCat(kind, " \"", name, "\": not found; `bramble ", kind, " list` shows what there is"));
}

// "state=running,name!=web" holds for `object`; state and node are looked up in its status too.
bool Matches(const json::value& object, std::string filter) {
  while (!filter.empty()) {
    const size_t comma = std::min(filter.find(','), filter.size());
    const std::string term = filter.substr(0, comma);
    filter.erase(0, comma + 1);
    const size_t equals = term.find('=');
    const bool negated = equals > 0 && term[equals - 1] == '!';
    const std::string key = term.substr(0, negated ? equals - 1 : equals);
    const std::string in_status = TextAt(object, "status." + key);
    const std::string value = in_status.empty() ? TextAt(object, key) : in_status;
    if ((value == term.substr(equals + 1)) == negated) {
      return false;
    }
  }
  return true;
}

}  // namespace

FakeController::FakeController() {
  collections_["cluster"]["cluster"] = {{"id", "c1"},
                                        {"name", "demo"},
                                        {"version", BRAMBLE_VERSION},
                                        {"epoch", 1},
                                        {"revision", 41},
                                        {"prefix", "172.16.0.0/24"},
                                        {"adopting", false},
                                        {"moves_frozen", false},
                                        {"nodes", json::object{{"ready", 2}}},
                                        {"containers", json::object{{"running", 1}}},
                                        {"conditions", json::array()}};
}

void FakeController::Put(const std::string& collection, json::object object) {
  const std::string key = KeyOf(object);
  collections_[collection][key] = std::move(object);
}

absl::StatusOr<ApiReply> FakeController::Send(ApiRequest request) {
  log_.push_back(StrCat(request.method, " ", RequestTargetOf(request)));
  requests_.push_back(request);
  if (!failures_.empty()) {
    const absl::Status status = failures_.front();
    failures_.pop_front();
    return status;
  }
  Parts parts = PartsOf(request.path);
  if (parts.size() == 1) {
    return ApiReply{.status = 200, .body = "ok"};  // /readyz
  }
  parts.erase(parts.begin());
  if (parts[0] == "network" && parts.size() == 2) {
    return List(request, "findings");
  }
  if (parts[0] == "uploads") {
    return Uploads(request, parts);
  }
  if (parts[0] == "prune") {
    json::array images;
    for (const auto& [name, image] : collections_["images"]) {
      images.push_back(json::object{{"name", image.at("name")},
                                    {"tag", image.at("tag")},
                                    {"project", "default"},
                                    {"size_bytes", 5 << 20}});
    }
    const int64_t freed = static_cast<int64_t>(images.size()) * (5 << 20);
    const json::object body = BodyOf(request);
    if (!body.at("dry_run").as_bool()) {
      collections_["images"].clear();
    }
    return Reply(200, json::object{{"dry_run", body.at("dry_run")},
                                   {"images", std::move(images)},
                                   {"freed_bytes", freed}});
  }
  return parts.size() == 1   ? Collection(request, parts)
         : parts.size() == 2 ? One(request, parts)
                             : Verb(parts);
}

absl::StatusOr<ApiReply> FakeController::Uploads(const ApiRequest& request, const Parts& parts) {
  const auto about = [this](int status) {
    return Reply(status, json::object{{"id", "u1"}, {"offset", uploaded_.size()}});
  };
  if (parts.size() == 1) {
    return about(201);
  }
  if (request.method == "PATCH") {
    const std::string at = StrCat("bytes ", uploaded_.size(), "-");
    const bool next = !request.headers.empty() && request.headers[0].second.starts_with(at);
    if (!next) {
      return absl::FailedPreconditionError(StrCat("it goes on at byte ", uploaded_.size()));
    }
    if (const auto cut_off = std::exchange(cut_off_after_, std::nullopt)) {
      uploaded_ += request.body.substr(0, *cut_off);
      return absl::UnavailableError("cut off");
    }
    uploaded_ += request.body;
  }
  return about(200);
}

absl::StatusOr<ApiReply> FakeController::Collection(const ApiRequest& request, const Parts& parts) {
  if (parts[0] == "cluster") {
    return Reply(200, collections_["cluster"]["cluster"]);
  }
  if (parts[0] == "plan") {
    json::object answer = {{"nodes", json::array()}};
    for (const auto& [name, node] : collections_["nodes"]) {
      answer["nodes"].get_array().push_back(
          json::object{{"node", name},
                       {"fits", true},
                       {"score", 0.5},
                       {"reasons", json::array{"holds the image"}}});
      answer["node"] = name;
    }
    if (collections_["nodes"].empty()) {
      answer["reason"] = "no node has joined";
    }
    return Reply(200, answer);
  }
  return request.method == "GET" ? List(request, parts[0]) : Create(request, parts[0]);
}

ApiReply FakeController::List(const ApiRequest& request, const std::string& collection) {
  const std::string cursor = QueryOf(request, "cursor");
  json::object answer = {{"items", json::array()}};
  json::array& items = answer["items"].get_array();
  for (const auto& [name, object] : collections_[collection]) {
    if (name <= cursor || !Matches(object, QueryOf(request, "filter"))) {
      continue;
    }
    if (items.size() == page_size_) {
      answer["next_cursor"] = KeyOf(items.back().get_object());
      break;
    }
    items.push_back(object);
  }
  return Reply(200, answer);
}

absl::StatusOr<ApiReply> FakeController::Create(const ApiRequest& request,
                                                const std::string& collection) {
  json::object body = BodyOf(request);
  if (collection == "images") {
    json::object image = {
        {"name", QueryOf(request, "name")},
        {"tag", QueryOf(request, "tag")},
        {"created_at", kTime},
        {"variants", json::array{json::object{{"architecture", QueryOf(request, "architecture")},
                                              {"digest", QueryOf(request, "sha256")},
                                              {"size_bytes", uploaded_.size()}}}}};
    uploaded_.clear();
    Put(collection, image);
    return Reply(201, image);
  }
  if (collection == "tokens") {
    json::object token = {{"id", "t1"},
                          {"max_uses", body.contains("max_uses") ? body["max_uses"] : 1},
                          {"uses", 0},
                          {"expires_at", kTime},
                          {"created_at", kTime}};
    Put(collection, token);
    return Reply(201, json::object{{"token", token}, {"join_token", "brm1.secret"}});
  }
  const std::string name = KeyOf(body);
  if (collections_[collection].contains(name)) {
    return absl::AlreadyExistsError(StrCat(collection.substr(0, collection.size() - 1), " \"", name,
                                           "\" exists; choose another name"));
  }
  if (collection != "containers") {
    Put(collection, body);
    return Reply(201, body);
  }
  json::object spec = body;
  spec.erase("name");
  const bool runs = !body.contains("desired");
  Put(collection, {{"id", "id-" + name},
                   {"name", name},
                   {"project", "default"},
                   {"generation", 1},
                   {"created_at", kTime},
                   {"spec", std::move(spec)},
                   {"status", json::object{{"state", runs ? "running" : "stopped"},
                                           {"node", "pi-1"},
                                           {"address", "172.16.0.64"}}}});
  return Accepted("container.create", "container", name);
}

absl::StatusOr<ApiReply> FakeController::One(const ApiRequest& request, const Parts& parts) {
  if (parts[0] == "operations") {
    return AskOperation(parts[1]);
  }
  if (parts[0] == "cluster") {
    return Reply(201, json::object{{"token", "brmu1.secret"}, {"user", "admin"}});
  }
  auto& collection = collections_[parts[0]];
  auto found = collection.find(parts[1]);
  if (found == collection.end() && parts[0] == "images") {
    found = collection.find(parts[1] + ":latest");
  }
  if (found == collection.end()) {
    return Missing(parts[0], parts[1]);
  }
  if (request.method == "DELETE") {
    collection.erase(found);
    return parts[0] == "containers" || parts[0] == "nodes"
               ? Accepted("delete", parts[0].substr(0, parts[0].size() - 1), parts[1])
               : ApiReply{.status = 204};
  }
  if (request.method == "PATCH") {
    json::object& target =
        parts[0] == "containers" ? found->second["spec"].get_object() : found->second;
    for (const auto& [key, value] : BodyOf(request)) {
      target[key] = value;
    }
    return parts[0] == "containers" ? Accepted("container.update", "container", parts[1])
                                    : Reply(200, found->second);
  }
  return Reply(200, found->second);
}

absl::StatusOr<ApiReply> FakeController::Verb(const Parts& parts) {
  const std::string& verb = parts[2];
  if (parts[0] == "operations") {
    collections_["operations"][parts[1]]["state"] = "cancelled";
    return Reply(202, collections_["operations"][parts[1]]);
  }
  auto found = collections_[parts[0]].find(parts[1]);
  if (found == collections_[parts[0]].end()) {
    return Missing(parts[0], parts[1]);
  }
  if (verb == "exec" || verb == "console") {
    return Reply(201, json::object{{"ticket", "T"}, {"url", "/v1/streams/T"}});
  }
  if (verb == "files") {
    return ApiReply{.status = 204};
  }
  if (verb == "approve" || verb == "tag") {
    return Reply(200, found->second);
  }
  if (parts[0] == "containers") {
    found->second["status"].get_object()["state"] = verb == "stop"     ? "stopped"
                                                    : verb == "freeze" ? "frozen"
                                                                       : "running";
  }
  const std::string kind = parts[0].substr(0, parts[0].size() - 1);
  return Accepted(StrCat(kind, ".", verb), kind, parts[1]);
}

ApiReply FakeController::Accepted(const std::string& kind, const std::string& object_kind,
                                  const std::string& name) {
  const std::string id = StrCat("op", next_operation_++);
  json::object operation = {
      {"id", id},
      {"kind", kind},
      {"object", json::object{{"kind", object_kind}, {"id", "x"}, {"name", name}}},
      {"state", "pending"},
      {"percent", 0},
      {"message", ""},
      {"created_by", "user:admin"},
      {"created_at", kTime},
      {"updated_at", kTime}};
  collections_["operations"][id] = operation;
  return Reply(202, operation);
}

absl::StatusOr<ApiReply> FakeController::AskOperation(const std::string& id) {
  const auto found = collections_["operations"].find(id);
  if (found == collections_["operations"].end()) {
    return Missing("operations", id);
  }
  json::object& operation = found->second;
  if (operation["state"] == "pending") {
    operation["state"] = "running";
    operation["message"] = "waits for the node";
  } else if (operation["state"] == "running") {
    operation["state"] = operation_error_.empty() ? "succeeded" : "failed";
    if (!operation_error_.empty()) {
      operation["error"] = {{"code", "failed_precondition"}, {"detail", operation_error_}};
    }
    operation["message"] = "";
  }
  return Reply(200, operation);
}

absl::StatusOr<ApiReply> FakeController::SendForBytes(
    ApiRequest request, std::function<absl::Status(std::string_view)> on_bytes) {
  log_.push_back(StrCat(request.method, " ", RequestTargetOf(request)));
  if (!failures_.empty()) {
    const absl::Status status = failures_.front();
    failures_.pop_front();
    return status;
  }
  for (const std::string_view piece : {"first line\n", "second line\n"}) {
    BRAMBLE_RETURN_IF_ERROR(on_bytes(piece));
  }
  return ApiReply{.status = 200};
}

absl::StatusOr<ApiReply> FakeController::SendForLines(
    ApiRequest request, std::chrono::milliseconds, std::function<bool(std::string_view)> on_line) {
  log_.push_back(StrCat(request.method, " ", RequestTargetOf(request)));
  requests_.push_back(request);
  if (!failures_.empty()) {
    const absl::Status status = failures_.front();
    failures_.pop_front();
    return status;
  }
  for (const std::string& line : std::exchange(event_lines_, {})) {
    if (!on_line(line)) {
      return ApiReply{.status = 200};
    }
  }
  return absl::NotFoundError("no more events in this test");
}

absl::StatusOr<StreamEnd> FakeController::Stream(std::string path, StreamEnds) {
  log_.push_back(StrCat("STREAM ", path));
  return stream_end_;
}

}  // namespace bramble::cli
