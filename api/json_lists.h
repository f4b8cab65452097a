// SPDX-License-Identifier: Apache-2.0
#pragma once

// Lists of objects and addresses in JSON, for the codecs of this folder.

#include <utility>

#include "api/json_fields.h"
#include "base/ip.h"

namespace bramble::api {

// The objects of the list below `key`, each read by `read(value, path)`.
template <typename Object, typename Read>
std::vector<Object> ObjectList(JsonObjectReader& reader, std::string_view key, size_t max,
                               const Read& read) {
  std::vector<Object> objects;
  for (const json::value* value : reader.List(key, max)) {
    absl::StatusOr<Object> object =
        read(*value, StrCat(reader.PathOf(key), "[", objects.size(), "]"));
    reader.Merge(object.status());
    objects.push_back(std::move(object).value_or(Object{}));
  }
  return objects;
}

// {"key": [ToJson(object), …]}'s value.
template <typename Object>
json::array ObjectsToJson(const std::vector<Object>& objects) {
  json::array array;
  for (const Object& object : objects) {
    array.push_back(ToJson(object));
  }
  return array;
}

json::array AddressesToJson(const std::vector<Ipv4>& addresses);
std::vector<Ipv4> AddressList(JsonObjectReader& reader, std::string_view key, size_t max);

}  // namespace bramble::api
