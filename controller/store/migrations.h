// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

namespace bramble::controller {

// The files of controller/store/sql, in order, embedded by CMake.  Only ever appended to: a number
// that was released is never changed.
struct Migration {
  std::string_view name;  // "0001-initial"
  std::string_view sql;
};
std::span<const Migration> Migrations();
// What they make together: sql/schema.sql.
std::string_view SchemaSql();

}  // namespace bramble::controller
