// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "controller/coordinator_security_groups.h"
#include "controller/coordinator_types.h"

namespace bramble::controller {

struct AddKey {
  std::string name;
  std::string project = api::kDefaultProject;
  std::string public_key;  // as of OpenSSH
};

// ssh keys by name.
class KeyService {
 public:
  virtual ~KeyService() = default;
  virtual absl::StatusOr<Rendered> Get(const Principal& who, const ProjectKey& key) = 0;
  // Filter keys: name, project, type, fingerprint.
  virtual absl::StatusOr<Rendered> List(const Principal& who, const ListQuery& query) = 0;
  // kInvalidArgument: not a public key.
  virtual void Add(const Principal& who, AddKey request, WriteOptions options, WriteDone done) = 0;
  // Containers keep what they were made with.
  virtual void Delete(const Principal& who, const ProjectKey& key, WriteOptions options,
                      WriteDone done) = 0;
};

}  // namespace bramble::controller
