// SPDX-License-Identifier: Apache-2.0
#include "node/layers/layer_command.h"

#include <csignal>
#include <cstdio>
#include <map>
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "base/status.h"
#include "node/layers/pack_layer.h"

#include "absl/strings/numbers.h"

namespace bramble::node {
namespace {

constexpr char kPack[] = "pack-layer";
constexpr char kUnpack[] = "unpack-layer";
constexpr int64_t kLeastId = 65536;  // below are the host's own users
constexpr int kMisuse = 2;

}  // namespace

bool IsLayerCommand(std::string_view verb) { return verb == kPack || verb == kUnpack; }

int RunLayerCommand(int argc, char** argv) {
  std::map<std::string, int64_t> given;
  bool good = argc % 2 == 0;
  for (int i = 2; i + 1 < argc; i += 2) {
    good = absl::SimpleAtoi(argv[i + 1], &given[argv[i]]) && good;
  }
  const int64_t first_id = given["--first-id"];
  if (!good || given.size() != 3 || given["--upper-fd"] < 3 || given["--result-fd"] < 3 ||
      first_id < kLeastId || first_id > int64_t{UINT32_MAX} - kLeastId) {
    std::fprintf(stderr,
                 "usage: bramble-unpack %s|%s --upper-fd N --first-id N (65536 or more) "
                 "--result-fd N\n",
                 kPack, kUnpack);
    return kMisuse;
  }
  std::signal(SIGPIPE, SIG_IGN);
  const LayerPlace place{.upper = static_cast<int>(given["--upper-fd"]),
                         .first_id = static_cast<uint32_t>(first_id)};
  const absl::StatusOr<LayerTotals> totals =
      std::string_view(argv[1]) == kPack ? PackLayer(place, 1) : UnpackLayer(place, 0);
  const json::object answer =
      totals.ok() ? json::object{{"entries", totals->entries},
                                 {"bytes", totals->bytes},
                                 {"sha256", totals->sha256}}
                  : json::object{{"code", static_cast<int>(totals.status().code())},
                                 {"message", std::string(MessageOf(totals.status()))}};
  const absl::Status told =
      WriteAll(static_cast<int>(given["--result-fd"]), json::serialize(answer), "result");
  return totals.ok() && told.ok() ? 0 : 1;
}

}  // namespace bramble::node
