// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <set>

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
  // kFailedPrecondition while a container is made from it.
  virtual void Delete(const Principal& who, const std::string& key, WriteOptions options,
                      WriteDone done) = 0;
  // The digests that an image or a container names; every other blob may be removed.
  virtual std::set<std::string> UsedDigests() const = 0;
  // Marks each variant as missing or not by what `has` says of its digest's bytes.
  virtual void NoteBlobs(const std::function<bool(const std::string& digest)>& has) = 0;
};

}  // namespace bramble::controller
