// SPDX-License-Identifier: Apache-2.0
#include "controller/coordinator_images.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "api/problem.h"
#include "api/project.h"
#include "base/status.h"
#include "controller/catalog_services.h"

namespace bramble::controller {
namespace {

constexpr size_t kMaxNamedContainers = 3;
constexpr size_t kNamedLargest = 3;

std::string Field(const ImageRecord& record, std::string_view key) {
  if (key == "name") return record.api.name;
  if (key == "id") return record.api.id.str();
  if (key == "project") return record.api.project.str();
  if (key == "tag") return record.api.tag;
  if (key == "visibility") {
    return std::string(api::kVisibilityNames[static_cast<size_t>(record.api.visibility)]);
  }
  std::string architectures;
  for (const api::ImageVariant& variant : record.api.variants) {
    architectures = StrCat(architectures, architectures.empty() ? "" : "|", variant.architecture);
  }
  return architectures;
}

Listing<ImageRecord> ImageListing() {
  return {.keys = {"name", "id", "tag", "architecture", "project", "visibility"},
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

// The image of `project` itself with this name; nullptr: none.  kAlreadyExists: it is an alias.
absl::StatusOr<const ImageRecord*> OwnNamed(const State& state, const std::string& project,
                                            const std::string& reference) {
  const ImageRecord* found = state.FindImage(project, reference);
  if (found == nullptr || found->api.project.str() != project) {
    return static_cast<const ImageRecord*>(nullptr);
  }
  const std::string own = StrCat(found->api.name, ":", found->api.tag);
  if (own != reference) {
    return absl::AlreadyExistsError(StrCat("image \"", reference, "\": is an alias of \"", own,
                                           "\"; take that away first (`bramble image alias ", own,
                                           " delete ", reference, "`), or choose another name"));
  }
  return found;
}

int64_t SizeOf(const ImageRecord& record) {
  int64_t size = 0;
  for (const api::ImageVariant& variant : record.api.variants) {
    size += variant.size.count;
  }
  return size;
}

}  // namespace

LedgerImages::LedgerImages(Ledger& ledger, Bytes project_quota)
    : ledger_(ledger), project_quota_(project_quota), list_(ImageListing()) {}

absl::StatusOr<const ImageRecord*> LedgerImages::Find(const Principal& who, Access access,
                                                      const std::string& key) const {
  const ImageRecord* record = ledger_.state().FindImage(api::kDefaultProject, key);
  const bool shown = record != nullptr && access == Access::kRead &&
                     record->api.visibility == api::Visibility::kPublic &&
                     who.kind != PrincipalKind::kNone;
  if (record == nullptr || (!shown && !May(who, access, record->api.project.str()))) {
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
    BRAMBLE_RETURN_IF_ERROR(CheckRoom(request));
    ImageRecord record;
    BRAMBLE_ASSIGN_OR_RETURN(const ImageRecord* known,
                             OwnNamed(ledger_.state(), project, reference));
    if (known != nullptr) {
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
    BRAMBLE_ASSIGN_OR_RETURN(const ImageRecord* known,
                             OwnNamed(ledger_.state(), record.api.project.str(), wanted.str()));
    record.api.id =
        known == nullptr ? ImageId::Trusted(RandomIdText(ledger_.random())) : known->api.id;
    record.api.generation = known == nullptr ? 1 : known->api.generation + 1;
    record.api.created_at = known == nullptr ? change.now() : known->api.created_at;
    record.api.name = wanted.name;
    record.api.tag = wanted.tag;
    record.api.aliases = known == nullptr ? std::vector<std::string>() : known->api.aliases;
    return Put(change, std::move(record), "image.tagged");
  };
  ledger_.Write(who, "image.tag", options, std::move(done), apply);
}

absl::StatusOr<std::vector<std::string>> LedgerImages::CheckAliases(
    const ImageRecord& record, std::vector<std::string> aliases) const {
  std::set<std::string> names;
  for (const std::string& text : aliases) {
    BRAMBLE_ASSIGN_OR_RETURN(const api::ImageReference parsed, api::ParseImageReference(text));
    const std::string name = parsed.str();
    const ImageRecord* other = ledger_.state().FindImage(record.api.project.str(), name);
    const bool taken =
        other != nullptr && other->api.project == record.api.project &&
        (other->api.id != record.api.id || name == StrCat(record.api.name, ":", record.api.tag));
    if (taken) {
      return absl::AlreadyExistsError(StrCat("image alias \"", name, "\": is a name of image \"",
                                             other->api.name, ":", other->api.tag,
                                             "\" already; choose another"));
    }
    names.insert(name);
  }
  return std::vector<std::string>(names.begin(), names.end());
}

void LedgerImages::Update(const Principal& who, const std::string& key, ImagePatch patch,
                          WriteOptions options, WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    BRAMBLE_ASSIGN_OR_RETURN(const ImageRecord* found, Find(who, Access::kWrite, key));
    ImageRecord record = *found;
    BRAMBLE_RETURN_IF_ERROR(CheckIfMatch(options, record.api.generation, "image",
                                         StrCat(record.api.name, ":", record.api.tag)));
    if (patch.aliases.has_value()) {
      BRAMBLE_ASSIGN_OR_RETURN(record.api.aliases, CheckAliases(record, *patch.aliases));
    }
    record.api.visibility = patch.visibility.value_or(record.api.visibility);
    ++record.api.generation;
    return Put(change, std::move(record), "image.changed");
  };
  ledger_.Write(who, "image.change", options, std::move(done), apply);
}

std::set<const ImageRecord*> LedgerImages::InUse() const {
  std::set<const ImageRecord*> used;
  for (const auto& [id, entry] : ledger_.state().containers().entries()) {
    const api::Container& container = entry.record.api;
    used.insert(ledger_.state().FindImage(container.project.str(), container.spec.image));
  }
  return used;
}

void LedgerImages::Prune(const Principal& who, ImagePrune prune, WriteOptions options,
                         WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    const std::set<const ImageRecord*> used = InUse();
    std::vector<ImageRecord> gone;
    std::map<std::string, int64_t> kept;  // sizes by digest
    std::map<std::string, int64_t> freed;
    for (const auto& [id, entry] : ledger_.state().images().entries()) {
      const ImageRecord& record = entry.record;
      const WallTime last = record.api.last_used_at.value_or(record.api.created_at);
      const bool goes = !used.contains(&record) && last + prune.unused_for <= change.now() &&
                        May(who, Access::kWrite, record.api.project.str());
      for (const api::ImageVariant& variant : record.api.variants) {
        (goes ? freed : kept)[variant.digest] = variant.size.count;
      }
      if (goes) {
        gone.push_back(record);
      }
    }
    for (const auto& [id, entry] : ledger_.state().containers().entries()) {
      kept[entry.record.api.status.image_digest] = 0;
    }
    int64_t bytes = 0;
    for (const auto& [digest, size] : freed) {
      bytes += kept.contains(digest) ? 0 : size;
    }
    json::array images;
    for (const ImageRecord& record : gone) {
      images.push_back(json::object{{"name", record.api.name},
                                    {"tag", record.api.tag},
                                    {"project", record.api.project.str()},
                                    {"size_bytes", SizeOf(record)}});
      if (!prune.dry_run) {
        change.AddEvent("image.deleted", ReferenceTo(record), "pruned");
        change.Erase(RowKind::kImage, record.api.id.str());
      }
    }
    if (prune.dry_run || gone.empty()) {
      change.OmitAudit();
    }
    const json::object answer = {
        {"dry_run", prune.dry_run}, {"images", std::move(images)}, {"freed_bytes", bytes}};
    return Written{.object = std::make_shared<const std::string>(json::serialize(answer))};
  };
  ledger_.Write(who, "image.prune", options, std::move(done), apply);
}

absl::Status LedgerImages::CheckNamed(const Principal& who, const std::string& key,
                                      const std::string& digest) const {
  BRAMBLE_ASSIGN_OR_RETURN(const ImageRecord* record, Find(who, Access::kRead, key));
  for (const api::ImageVariant& variant : record->api.variants) {
    if (variant.digest == digest) {
      return absl::OkStatus();
    }
  }
  return absl::NotFoundError(
      StrCat("image \"", key, "\": has no variant with the digest ", digest.substr(0, 64)));
}

std::string LedgerImages::LargestOf(const std::string& project) const {
  std::vector<std::pair<int64_t, std::string>> sizes;
  for (const auto& [id, entry] : ledger_.state().images().entries()) {
    const ImageRecord& record = entry.record;
    if (project.empty() || record.api.project.str() == project) {
      sizes.emplace_back(SizeOf(record), StrCat(record.api.name, ":", record.api.tag));
    }
  }
  std::sort(sizes.begin(), sizes.end(), std::greater<>());
  std::string text;
  for (size_t i = 0; i < std::min(sizes.size(), kNamedLargest); ++i) {
    text = StrCat(text, i == 0 ? "" : ", ", sizes[i].second, " (", ToString(Bytes{sizes[i].first}),
                  ")");
  }
  return text;
}

std::string LedgerImages::Largest() const { return LargestOf(""); }

absl::Status LedgerImages::CheckRoom(const AddVariant& request) const {
  if (project_quota_.count == 0) {
    return absl::OkStatus();
  }
  const std::string& project = request.project.str();
  std::map<std::string, int64_t> sizes = {{request.variant.digest, request.variant.size.count}};
  for (const auto& [id, entry] : ledger_.state().images().entries()) {
    const api::Image& image = entry.record.api;
    const bool same = image.name == request.name && image.tag == request.tag;
    for (const api::ImageVariant& variant : image.variants) {
      const bool replaced = same && variant.architecture == request.variant.architecture;
      if (image.project == request.project && !replaced) {
        sizes[variant.digest] = variant.size.count;
      }
    }
  }
  int64_t total = 0;
  for (const auto& [digest, size] : sizes) {
    total += size;
  }
  if (total <= project_quota_.count) {
    return absl::OkStatus();
  }
  const std::string largest = LargestOf(project);
  return absl::ResourceExhaustedError(
      StrCat("image: the images of project \"", project, "\" would have ", ToString(Bytes{total}),
             ", more than ", ToString(project_quota_), " (limits.images_per_project)",
             largest.empty() ? "" : StrCat("; the largest are ", largest),
             "; free some with `bramble image prune` or `bramble image delete`"));
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
