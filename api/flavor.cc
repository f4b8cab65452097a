// SPDX-License-Identifier: Apache-2.0
#include "api/flavor.h"

#include "base/status.h"

namespace bramble::api {

std::vector<Flavor> BuiltinFlavors() {
  const auto flavor = [](const char* name, int64_t cpu_milli, int64_t memory_mib) {
    return Flavor{.name = FlavorName::Trusted(name),
                  .resources = {.cpu = {cpu_milli}, .memory = {memory_mib * kMiB}},
                  .builtin = true};
  };
  return {flavor("nano", 250, 64), flavor("micro", 500, 128), flavor("small", 1000, 256),
          flavor("medium", 2000, 512), flavor("large", 4000, 1024)};
}

json::object ToJson(const Flavor& flavor) {
  return {{"name", flavor.name.str()},
          {"generation", flavor.generation},
          {"resources", ToJson(flavor.resources)},
          {"builtin", flavor.builtin}};
}

absl::StatusOr<Flavor> FlavorFromJson(const json::value& value, std::string path,
                                      UnknownKeys unknown) {
  JsonObjectReader reader(value, std::move(path), unknown);
  Flavor flavor;
  flavor.name = reader.Parsed<FlavorName>("name");
  flavor.generation = reader.OptionalInt("generation", {.min = 0}).value_or(1);
  if (const json::value* resources = reader.Find("resources")) {
    JsonObjectReader sizes(*resources, reader.PathOf("resources"), unknown);
    flavor.resources.cpu.count = sizes.Int("cpu_milli", {.min = 10, .max = 1'000'000});
    flavor.resources.memory.count = sizes.Int("memory_bytes", {.min = 4 * kMiB});
    flavor.resources.disk.count = sizes.OptionalInt("disk_bytes", {.min = 0}).value_or(0);
    flavor.resources.pids = sizes.OptionalInt("pids", {.min = 0}).value_or(0);
    reader.Merge(sizes.Finish());
  } else {
    reader.Fail("resources", "missing");
  }
  flavor.builtin = reader.OptionalBool("builtin").value_or(false);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return flavor;
}

}  // namespace bramble::api
