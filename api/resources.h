// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/json_fields.h"

namespace bramble::api {

// CPU and memory, asked for or offered.
struct Resources {
  MilliCpu cpu;  // 1000 = one core
  Bytes memory;
  Bytes disk;        // 0: no limit asked for
  int64_t pids = 0;  // 0: the node's default

  friend bool operator==(const Resources&, const Resources&) = default;
};

json::object ToJson(const Resources& resources);
absl::StatusOr<Resources> ResourcesFromJson(const json::value& value, std::string path);

}  // namespace bramble::api
