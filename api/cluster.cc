// SPDX-License-Identifier: Apache-2.0
#include "api/cluster.h"

#include "base/status.h"

namespace bramble::api {
namespace {

json::object CountsToJson(const std::map<std::string, int64_t>& counts) {
  json::object object;
  for (const auto& [state, count] : counts) {
    object[state] = count;
  }
  return object;
}

std::map<std::string, int64_t> CountsField(JsonObjectReader& parent, std::string_view key) {
  std::map<std::string, int64_t> counts;
  const json::value* value = parent.Find(key);
  const json::object* object = value == nullptr ? nullptr : value->if_object();
  if (object == nullptr) {
    return counts;
  }
  JsonObjectReader reader(*value, parent.PathOf(key));
  for (const auto& member : *object) {
    const std::string state(member.key().data(), member.key().size());
    counts[state] = reader.Int(state, {.min = 0});
  }
  parent.Merge(reader.Finish());
  return counts;
}

}  // namespace

json::object ToJson(const Cluster& cluster) {
  return {{"id", cluster.id.str()},
          {"name", cluster.name},
          {"version", cluster.version},
          {"epoch", cluster.epoch},
          {"revision", cluster.revision},
          {"prefix", cluster.prefix},
          {"initialised", cluster.initialised},
          {"moves_frozen", cluster.moves_frozen},
          {"moves_frozen_reason", cluster.moves_frozen_reason},
          {"adopting", cluster.adopting},
          {"nodes", CountsToJson(cluster.nodes)},
          {"containers", CountsToJson(cluster.containers)},
          {"conditions", ToJson(cluster.conditions)},
          {"certificate_sha256", cluster.certificate_sha256}};
}

absl::StatusOr<Cluster> ClusterFromJson(const json::value& value, std::string path,
                                        UnknownKeys unknown) {
  JsonObjectReader reader(value, std::move(path), unknown);
  Cluster cluster;
  cluster.id = reader.Parsed<ClusterId>("id");
  cluster.name = reader.String("name");
  cluster.version = reader.OptionalString("version").value_or("");
  cluster.epoch = reader.Int("epoch", {.min = 0});
  cluster.revision = reader.Int("revision", {.min = 0});
  cluster.prefix = reader.String("prefix");
  cluster.initialised = reader.Bool("initialised");
  cluster.moves_frozen = reader.OptionalBool("moves_frozen").value_or(false);
  cluster.moves_frozen_reason = reader.OptionalString("moves_frozen_reason").value_or("");
  cluster.adopting = reader.OptionalBool("adopting").value_or(false);
  cluster.nodes = CountsField(reader, "nodes");
  cluster.containers = CountsField(reader, "containers");
  cluster.conditions = ConditionsField(reader, "conditions");
  cluster.certificate_sha256 = reader.OptionalString("certificate_sha256").value_or("");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return cluster;
}

}  // namespace bramble::api
