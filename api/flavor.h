// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/resources.h"

namespace bramble::api {

// A named size of container.
struct Flavor {
  FlavorName name;
  uint64_t generation = 1;
  Resources resources;
  bool builtin = false;  // shipped: cannot be deleted

  friend bool operator==(const Flavor&, const Flavor&) = default;
};

inline constexpr char kDefaultFlavor[] = "small";

// nano 0.25 CPU/64 MiB, micro 0.5/128, small 1/256, medium 2/512, large 4/1024 (DESIGN.md, section
// 4).
std::vector<Flavor> BuiltinFlavors();

json::object ToJson(const Flavor& flavor);
absl::StatusOr<Flavor> FlavorFromJson(const json::value& value, std::string path = "flavor",
                                      UnknownKeys unknown = UnknownKeys::kIgnore);

}  // namespace bramble::api
