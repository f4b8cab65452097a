// SPDX-License-Identifier: Apache-2.0
#pragma once

// How answers are printed: as a table for people, as the API's JSON unchanged, as YAML, or as names
// only.

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "tools/bramble/args.h"
#include "tools/bramble/session.h"

#include "absl/status/statusor.h"

namespace bramble::cli {

enum class Format { kTable, kJson, kYaml, kName };
Format FormatOf(const Args& args);

// How a value is shown in a cell.
enum class As { kText, kState, kAge, kSize, kCpu, kLimitSize, kDigest };

struct Column {
  std::string_view name;  // its upper case is the heading
  std::string_view path;  // into the object: "status.node"
  As as = As::kText;
  bool wide = false;  // only with `--columns all` and in `show`
  // Instead of `path`.
  std::string (*text)(const json::value& object) = nullptr;
};

// One kind of object and how it is shown.
struct Resource {
  std::string_view kind;        // "container"
  std::string_view collection;  // "containers", in the API's paths
  std::vector<Column> columns;
  std::string (*name)(const json::value& object) = nullptr;  // for -o name; nullptr: "name"
};

// The value at `path` ("spec.limits.cpu_milli"), or nullptr.
const json::value* At(const json::value& object, std::string_view path);
// Likewise as a cell has it: "" for what is missing, lists joined by commas, objects as KEY=VALUE.
std::string TextAt(const json::value& object, std::string_view path);
std::string TextOf(const json::value& value);
// "103.2": the shortest that is exact, without an exponent where that is no longer.
std::string NumberText(double number);
std::string NameOf(const Resource& resource, const json::value& object);

// "45s", "12m", "3h", "9d": how long ago.
std::string AgeText(WallTime then, WallTime now);

// The columns that --columns chooses: names, paths with a dot, or "all".
absl::StatusOr<std::vector<Column>> ChosenColumns(const Resource& resource, const Args& args);

// Aligned columns with a heading.  Cells are made Printable.
std::string RenderTable(const std::vector<Column>& columns,
                        const std::vector<const json::value*>& objects, WallTime now, bool colours);
// Every column on a line of its own.
std::string RenderDetails(const std::vector<Column>& columns, const json::value& object,
                          WallTime now, bool colours);

// Every object of a collection, of all its pages.
absl::StatusOr<json::array> GetItems(Session& session, const Resource& resource,
                                     const std::string& filter = "");

// Prints `body`, one object as the API gave it, as `args` ask.
absl::Status PrintObject(const Args& args, Session& session, const Resource& resource,
                         const std::string& body);
// Gets every page of `resource` and prints it.
absl::Status PrintList(const Args& args, Session& session, const Resource& resource);
// Gets one object and prints it.
absl::Status PrintOne(const Args& args, Session& session, const Resource& resource,
                      std::string_view name);

}  // namespace bramble::cli
