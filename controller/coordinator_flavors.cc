// SPDX-License-Identifier: Apache-2.0
#include "controller/coordinator_flavors.h"

#include "base/status.h"
#include "controller/catalog_services.h"

namespace bramble::controller {
namespace {

constexpr size_t kMaxFlavors = 1'000'000;

Listing<FlavorRecord> FlavorListing() {
  return {.keys = {"name", "builtin"},
          .field = [](const FlavorRecord& record, std::string_view key) -> std::string {
            return key == "name" ? record.api.name.str() : record.api.builtin ? "true" : "false";
          },
          .order =
              [](const FlavorRecord& record) {
                // Smallest first.
                const std::string memory = StrCat(record.api.resources.memory.count);
                return StrCat(std::string(20 - memory.size(), '0'), memory, "/",
                              record.api.name.str());
              }};
}

}  // namespace

LedgerFlavors::LedgerFlavors(Ledger& ledger) : ledger_(ledger), list_(FlavorListing()) {}

absl::StatusOr<Rendered> LedgerFlavors::Get(const Principal& who, const std::string& name) {
  const FlavorRecord* record = ledger_.state().flavors().Find(name);
  if (record == nullptr || !May(who, Access::kRead, "")) {
    return NotFound("flavor", name);
  }
  return Rendered{ledger_.Body(ledger_.state().flavors(), name), record->api.generation};
}

absl::StatusOr<Rendered> LedgerFlavors::List(const Principal& who, const ListQuery& query) {
  return list_.Page(ledger_, ledger_.state().flavors(), who, query);
}

void LedgerFlavors::Create(const Principal& who, api::Flavor flavor, WriteOptions options,
                           WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    const std::string name = flavor.name.str();
    if (!May(who, Access::kWrite, "")) {
      return absl::PermissionDeniedError("only an administrator may create flavors");
    }
    if (ledger_.state().flavors().Find(name) != nullptr) {
      return absl::AlreadyExistsError(StrCat("flavor \"", name, "\": exists already"));
    }
    if (ledger_.state().flavors().size() >= kMaxFlavors) {
      return absl::ResourceExhaustedError(StrCat("there are ", kMaxFlavors, " flavors already"));
    }
    if (flavor.resources.cpu.count <= 0 || flavor.resources.memory.count < 4 * kMiB) {
      return absl::InvalidArgumentError(StrCat("flavor \"", name,
                                               "\": resources.cpu_milli must be above 0 and "
                                               "resources.memory_bytes at least 4 MiB"));
    }
    FlavorRecord record{flavor};
    record.api.generation = 1;
    record.api.builtin = false;
    change.AddEvent("flavor.created", ReferenceTo(record), "");
    change.Put(std::move(record));
    return Written{.object = ledger_.Body(ledger_.state().flavors(), name), .generation = 1};
  };
  ledger_.Write(who, "flavor.create", options, std::move(done), apply);
}

void LedgerFlavors::Delete(const Principal& who, const std::string& name, WriteOptions options,
                           WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    const FlavorRecord* record = ledger_.state().flavors().Find(name);
    if (record == nullptr || !May(who, Access::kWrite, "")) {
      return NotFound("flavor", name);
    }
    BRAMBLE_RETURN_IF_ERROR(CheckIfMatch(options, record->api.generation, "flavor", name));
    if (record->api.builtin) {
      return absl::FailedPreconditionError(
          StrCat("flavor \"", name, "\" is shipped with Bramble and stays"));
    }
    change.AddEvent("flavor.deleted", ReferenceTo(*record), "");
    change.Erase(RowKind::kFlavor, name);
    return Written{};
  };
  ledger_.Write(who, "flavor.delete", options, std::move(done), apply);
}

}  // namespace bramble::controller
