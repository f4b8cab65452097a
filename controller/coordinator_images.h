// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/project.h"
#include "controller/coordinator_types.h"

namespace bramble::controller {

struct AddVariant {
  std::string name;
  std::string tag = "latest";
  ProjectName project = ProjectName::Trusted(api::kDefaultProject);
  api::ImageVariant variant;  // whose bytes the blob store holds already
  api::Labels labels;         // put over those that are there
};

// What is to change of an image; nullopt: stays.
struct ImagePatch {
  std::optional<api::Visibility> visibility;
  std::optional<std::vector<std::string>> aliases;  // "name" or "name:tag"; all that it shall have
};

inline constexpr std::chrono::seconds kMaxPruneAge{10 * 365 * 24 * 3600LL};
struct ImagePrune {
  bool dry_run = false;
  std::chrono::seconds unused_for{0};  // since its last use, else since it was made
};

// How exactly an image's last use is kept: each is a write.
inline constexpr std::chrono::hours kImageUseStep{1};

// Images: names and tags over blobs.  The bytes are the blob store's (controller/images).
class ImageService {
 public:
  virtual ~ImageService() = default;

  // `key`: "name", "name:tag" or an id.
  virtual absl::StatusOr<Rendered> Get(const Principal& who, const std::string& key) = 0;
  // Filter keys: name, tag, architecture, project, label.KEY.
  virtual absl::StatusOr<Rendered> List(const Principal& who, const ListQuery& query) = 0;
  // Makes the image, or adds or replaces its variant of that architecture.
  virtual void Add(const Principal& who, AddVariant request, WriteOptions options,
                   WriteDone done) = 0;
  // Gives `key` a second name and tag.
  virtual void Tag(const Principal& who, const std::string& key, std::string reference,
                   WriteOptions options, WriteDone done) = 0;
  // kAlreadyExists: an alias is another image's name.
  virtual void Update(const Principal& who, const std::string& key, ImagePatch patch,
                      WriteOptions options, WriteDone done) = 0;
  // Deletes every image that no container is made of and that was not used for long enough.  The
  // answer's object is {"dry_run", "images": [{"name", "tag", "project", "size_bytes"}],
  // "freed_bytes"}: what went, or would.
  virtual void Prune(const Principal& who, ImagePrune prune, WriteOptions options,
                     WriteDone done) = 0;
  // kNotFound unless the image that `key` names has a variant of these bytes.
  virtual absl::Status CheckNamed(const Principal& who, const std::string& key,
                                  const std::string& digest) const = 0;
  // The images that have most of the room: "debian:12 (300.0 MiB), web:latest (20.0 MiB)".
  virtual std::string Largest() const = 0;
  // kFailedPrecondition while a container is made from it.
  virtual void Delete(const Principal& who, const std::string& key, WriteOptions options,
                      WriteDone done) = 0;
  // The digests that an image or a container names; every other blob may be removed.
  virtual std::set<std::string> UsedDigests() const = 0;
  // Marks each variant as missing or not by what `has` says of its digest's bytes.
  virtual void NoteBlobs(const std::function<bool(const std::string& digest)>& has) = 0;
};

}  // namespace bramble::controller
