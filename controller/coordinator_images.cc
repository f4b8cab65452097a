// SPDX-License-Identifier: Apache-2.0
#include "controller/coordinator_images.h"

#include <algorithm>

#include "api/problem.h"
#include "api/project.h"
#include "base/status.h"
#include "controller/catalog_services.h"

namespace bramble::controller {
namespace {

constexpr size_t kMaxNamedContainers = 3;

std::string Field(const ImageRecord& record, std::string_view key) {
  if (key == "name") return record.api.name;
  if (key == "id") return record.api.id.str();
  if (key == "project") return record.api.project.str();
  if (key == "tag") return record.api.tag;
  std::string architectures;
  for (const api::ImageVariant& variant : record.api.variants) {
    architectures = StrCat(architectures, architectures.empty() ? "" : "|", variant.architecture);
  }
  return architectures;
}

Listing<ImageRecord> ImageListing() {
  return {.keys = {"name", "id", "tag", "architecture", "project"},
          .field = Field,
          .labels = [](const ImageRecord& record) { return &record.api.labels; },
          .project = [](const ImageRecord& record) { return record.api.project.str(); },
          .order =
              [](const ImageRecord& record) {
                return StrCat(record.api.name, ":", record.api.tag, "/", record.api.project.str());
              }};
}

absl::Status CheckVariant(const api::ImageVariant& variant) {
  BRAMBLE_RETURN_IF_ERROR(api::CheckArchitecture(variant.architecture));
  return api::CheckDigest(variant.digest);
}

}  // namespace

LedgerImages::LedgerImages(Ledger& ledger) : ledger_(ledger), list_(ImageListing()) {}

absl::StatusOr<const ImageRecord*> LedgerImages::Find(const Principal& who, Access access,
                                                      const std::string& key) const {
  const ImageRecord* record = ledger_.state().FindImage(api::kDefaultProject, key);
  if (record == nullptr || !May(who, access, record->api.project.str())) {
    return NotFound("image", key);
  }
  return record;
}

absl::StatusOr<Rendered> LedgerImages::Get(const Principal& who, const std::string& key) {
  BRAMBLE_ASSIGN_OR_RETURN(const ImageRecord* record, Find(who, Access::kRead, key));
  return Rendered{ledger_.Body(ledger_.state().images(), record->api.id.str()),
                  record->api.generation};
}

absl::StatusOr<Rendered> LedgerImages::List(const Principal& who, const ListQuery& query) {
  return list_.Page(ledger_, ledger_.state().images(), who, query);
}

Written LedgerImages::Put(Change& change, ImageRecord record, std::string_view event) {
  const std::string id = record.api.id.str();
  const uint64_t generation = record.api.generation;
  change.AddEvent(std::string(event), ReferenceTo(record), "");
  change.Put(std::move(record));
  return {.object = ledger_.Body(ledger_.state().images(), id), .generation = generation};
}

// The bytes that one image was given are those of every other that names them.
void LedgerImages::FoundAgain(Change& change, const std::string& digest) {
  std::vector<ImageRecord> changed;
  for (const auto& [id, entry] : ledger_.state().images().entries()) {
    ImageRecord record = entry.record;
    for (api::ImageVariant& variant : record.api.variants) {
      variant.missing = variant.missing && variant.digest != digest;
    }
    if (record.api.variants != entry.record.api.variants) {
      changed.push_back(std::move(record));
    }
  }
  for (ImageRecord& record : changed) {
    change.Put(std::move(record));
  }
}

void LedgerImages::Add(const Principal& who, AddVariant request, WriteOptions options,
                       WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    const std::string reference = StrCat(request.name, ":", request.tag);
    BRAMBLE_RETURN_IF_ERROR(api::ParseImageReference(reference).status());
    BRAMBLE_RETURN_IF_ERROR(CheckVariant(request.variant));
    BRAMBLE_RETURN_IF_ERROR(api::CheckLabels(request.labels, "labels"));
    const std::string& project = request.project.str();
    if (project != api::kDefaultProject || !May(who, Access::kWrite, project)) {
      return NotFound("project", project);
    }
    ImageRecord record;
    if (const ImageRecord* known = ledger_.state().FindImage(project, reference)) {
      record = *known;
      ++record.api.generation;
    } else {
      record.api.id = ImageId::Trusted(RandomIdText(ledger_.random()));
      record.api.name = request.name;
      record.api.tag = request.tag;
      record.api.project = request.project;
      record.api.created_at = change.now();
    }
    std::erase_if(record.api.variants, [&](const api::ImageVariant& variant) {
      return variant.architecture == request.variant.architecture;
    });
    record.api.variants.push_back(request.variant);
    for (const auto& [key, value] : request.labels) {
      record.api.labels[key] = value;
    }
    FoundAgain(change, request.variant.digest);
    return Put(change, std::move(record), "image.added");
  };
  ledger_.Write(who, "image.add", options, std::move(done), apply);
}

void LedgerImages::Tag(const Principal& who, const std::string& key, std::string reference,
                       WriteOptions options, WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    BRAMBLE_ASSIGN_OR_RETURN(const ImageRecord* source, Find(who, Access::kWrite, key));
    BRAMBLE_ASSIGN_OR_RETURN(const api::ImageReference wanted, api::ParseImageReference(reference));
    ImageRecord record = *source;
    const std::string full = StrCat(wanted.name, ":", wanted.tag);
    const ImageRecord* known = ledger_.state().FindImage(record.api.project.str(), full);
    record.api.id =
        known == nullptr ? ImageId::Trusted(RandomIdText(ledger_.random())) : known->api.id;
    record.api.generation = known == nullptr ? 1 : known->api.generation + 1;
    record.api.created_at = known == nullptr ? change.now() : known->api.created_at;
    record.api.name = wanted.name;
    record.api.tag = wanted.tag;
    return Put(change, std::move(record), "image.tagged");
  };
  ledger_.Write(who, "image.tag", options, std::move(done), apply);
}

void LedgerImages::Delete(const Principal& who, const std::string& key, WriteOptions options,
                          WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    BRAMBLE_ASSIGN_OR_RETURN(const ImageRecord* record, Find(who, Access::kWrite, key));
    const std::string name = StrCat(record->api.name, ":", record->api.tag);
    BRAMBLE_RETURN_IF_ERROR(CheckIfMatch(options, record->api.generation, "image", name));
    std::string users;
    size_t count = 0;
    for (const auto& [id, entry] : ledger_.state().containers().entries()) {
      const api::Container& container = entry.record.api;
      const ImageRecord* used =
          ledger_.state().FindImage(container.project.str(), container.spec.image);
      if (used == record && !container.deleting && ++count <= kMaxNamedContainers) {
        users = StrCat(users, users.empty() ? "" : ", ", container.name.str());
      }
    }
    if (count > 0) {
      return api::WithCode(absl::FailedPreconditionError(
                               StrCat("image \"", name, "\" is used by ", count,
                                      count == 1 ? " container (" : " containers (", users,
                                      count > kMaxNamedContainers ? ", …" : "",
                                      "); delete them, or give them another image, first")),
                           "in_use");
    }
    change.AddEvent("image.deleted", ReferenceTo(*record), "");
    change.Erase(RowKind::kImage, std::string(record->api.id.str()));
    return Written{};
  };
  ledger_.Write(who, "image.delete", options, std::move(done), apply);
}

void LedgerImages::NoteBlobs(const std::function<bool(const std::string&)>& has) {
  if (!ledger_.Writable().ok()) {
    return;
  }
  std::vector<ImageRecord> changed;
  for (const auto& [id, entry] : ledger_.state().images().entries()) {
    ImageRecord record = entry.record;
    for (api::ImageVariant& variant : record.api.variants) {
      variant.missing = !has(variant.digest);
    }
    if (record.api.variants != entry.record.api.variants) {
      changed.push_back(std::move(record));
    }
  }
  if (changed.empty()) {
    return;
  }
  const Principal system = Principal::System();
  Change change(ledger_, system, "image.note_blobs");
  for (ImageRecord& record : changed) {
    const auto& variants = record.api.variants;
    const auto missing =
        std::find_if(variants.begin(), variants.end(),
                     [](const api::ImageVariant& variant) { return variant.missing; });
    if (missing == variants.end()) {
      change.AddEvent("image.blob_back", ReferenceTo(record), "its bytes are there again");
    } else {
      change.AddEvent("image.blob_missing", ReferenceTo(record),
                      StrCat("image blob missing (", missing->architecture,
                             "): import it again by `bramble image import`"));
    }
    change.Put(std::move(record));
  }
  ledger_.Commit(std::move(change), nullptr);
}

std::set<std::string> LedgerImages::UsedDigests() const {
  std::set<std::string> digests;
  for (const auto& [id, entry] : ledger_.state().images().entries()) {
    for (const api::ImageVariant& variant : entry.record.api.variants) {
      digests.insert(variant.digest);
    }
  }
  for (const auto& [id, entry] : ledger_.state().containers().entries()) {
    digests.insert(entry.record.api.status.image_digest);
  }
  digests.erase("");
  return digests;
}

}  // namespace bramble::controller
