// SPDX-License-Identifier: Apache-2.0
#include "api/node.h"

#include "api/labels.h"
#include "base/status.h"

namespace bramble::api {
namespace {

json::string_view Name(std::string_view text) { return {text.data(), text.size()}; }

json::array ToJson(const std::vector<GpioChip>& chips) {
  json::array list;
  for (const GpioChip& chip : chips) {
    list.push_back(json::object{{"name", chip.name}, {"label", chip.label}, {"lines", chip.lines}});
  }
  return list;
}

std::vector<GpioChip> GpioChipsFrom(JsonObjectReader& reader) {
  std::vector<GpioChip> chips;
  for (const json::value* value : reader.List("gpio_chips", kMaxGpioChips)) {
    JsonObjectReader chip(*value, reader.PathOf("gpio_chips"));
    chips.push_back({.name = chip.OptionalString("name").value_or(""),
                     .label = chip.OptionalString("label").value_or(""),
                     .lines = chip.OptionalInt("lines", {.min = 0}).value_or(0)});
    reader.Merge(chip.Finish());
  }
  return chips;
}

}  // namespace

json::object ToJson(const Inventory& inventory) {
  return {{"architecture", inventory.architecture},
          {"also_runs", ToJson(inventory.also_runs)},
          {"model", inventory.model},
          {"serial", inventory.serial},
          {"macs", ToJson(inventory.macs)},
          {"kernel", inventory.kernel},
          {"agent_version", inventory.agent_version},
          {"cgroup_layout", inventory.cgroup_layout},
          {"lsm", inventory.lsm},
          {"boot_id", inventory.boot_id},
          {"page_size_bytes", inventory.page_size_bytes},
          {"gpio_chips", ToJson(inventory.gpio_chips)},
          {"capacity", ToJson(inventory.capacity)}};
}

absl::StatusOr<Inventory> InventoryFromJson(const json::value& value, std::string path) {
  JsonObjectReader reader(value, std::move(path));
  Inventory inventory;
  const auto text = [&reader](std::string_view key) {
    return reader.OptionalString(key).value_or("");
  };
  inventory.architecture = text("architecture");
  inventory.also_runs = reader.StringList("also_runs", 8);
  inventory.model = text("model");
  inventory.serial = text("serial");
  inventory.macs = reader.StringList("macs", 64);
  inventory.kernel = text("kernel");
  inventory.agent_version = text("agent_version");
  inventory.cgroup_layout = text("cgroup_layout");
  inventory.lsm = text("lsm");
  inventory.boot_id = text("boot_id");
  inventory.page_size_bytes = reader.OptionalInt("page_size_bytes", {.min = 0}).value_or(0);
  inventory.gpio_chips = GpioChipsFrom(reader);
  if (const json::value* capacity = reader.Find("capacity")) {
    absl::StatusOr<Resources> resources = ResourcesFromJson(*capacity, reader.PathOf("capacity"));
    reader.Merge(resources.status());
    inventory.capacity = resources.value_or(Resources{});
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return inventory;
}

json::object ToJson(const Node& node) {
  json::object object = {{"id", node.id.str()},
                         {"name", node.name.str()},
                         {"generation", node.generation},
                         {"state", Name(kNodeStateNames[static_cast<size_t>(node.state)])},
                         {"reason", node.reason},
                         {"cordoned", node.cordoned},
                         {"drain", Name(kDrainStateNames[static_cast<size_t>(node.drain)])},
                         {"pool", node.pool},
                         {"labels", ToJson(node.labels)},
                         {"address", node.address},
                         {"inventory", ToJson(node.inventory)},
                         {"conditions", ToJson(node.conditions)},
                         {"allocated", ToJson(node.allocated)},
                         {"container_count", node.container_count},
                         {"images", ToJson(node.images)},
                         {"joined_at", FormatTime(node.joined_at)}};
  if (!node.code.empty()) {
    object["code"] = node.code;
  }
  if (node.drain_deadline.has_value()) {
    object["drain_deadline"] = FormatTime(*node.drain_deadline);
  }
  if (node.last_seen_at.has_value()) {
    object["last_seen_at"] = FormatTime(*node.last_seen_at);
  }
  return object;
}

absl::StatusOr<Node> NodeFromJson(const json::value& value, std::string path, UnknownKeys unknown) {
  JsonObjectReader reader(value, std::move(path), unknown);
  Node node;
  node.id = reader.Parsed<NodeId>("id");
  node.name = reader.Parsed<NodeName>("name");
  node.generation = reader.Int("generation", {.min = 0});
  node.state = EnumField<NodeState>(reader, "state", kNodeStateNames);
  node.reason = reader.OptionalString("reason").value_or("");
  node.code = reader.OptionalString("code").value_or("");
  node.cordoned = reader.OptionalBool("cordoned").value_or(false);
  node.drain = EnumField<DrainState>(reader, "drain", kDrainStateNames, DrainState::kNone);
  node.drain_deadline = OptionalTimeField(reader, "drain_deadline");
  node.pool = reader.OptionalString("pool").value_or("default");
  node.labels = reader.StringMap("labels", kMaxLabels);
  node.address = reader.OptionalString("address").value_or("");
  node.conditions = ConditionsField(reader, "conditions");
  node.container_count = reader.OptionalInt("container_count", {.min = 0}).value_or(0);
  node.images = reader.StringList("images");
  node.joined_at = TimeField(reader, "joined_at");
  node.last_seen_at = OptionalTimeField(reader, "last_seen_at");
  if (const json::value* inventory = reader.Find("inventory")) {
    absl::StatusOr<Inventory> parsed = InventoryFromJson(*inventory, reader.PathOf("inventory"));
    reader.Merge(parsed.status());
    node.inventory = std::move(parsed).value_or(Inventory{});
  }
  if (const json::value* allocated = reader.Find("allocated")) {
    absl::StatusOr<Resources> parsed = ResourcesFromJson(*allocated, reader.PathOf("allocated"));
    reader.Merge(parsed.status());
    node.allocated = std::move(parsed).value_or(Resources{});
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return node;
}

}  // namespace bramble::api
