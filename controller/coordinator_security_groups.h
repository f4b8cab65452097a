// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/project.h"
#include "controller/container_service.h"

namespace bramble::controller {

// An object named within a project.
struct ProjectKey {
  std::string name;
  std::string project = api::kDefaultProject;
};

// Named sets of firewall rules.  A change reaches the nodes with the same commit.
class SecurityGroupService {
 public:
  virtual ~SecurityGroupService() = default;
  virtual absl::StatusOr<Rendered> Get(const Principal& who, const ProjectKey& key) = 0;
  // Filter keys: name, project, builtin.
  virtual absl::StatusOr<Rendered> List(const Principal& who, const ListQuery& query) = 0;
  // kResourceExhausted with the code too_many_rules: above api::kMaxRules of all groups.
  virtual void Create(const Principal& who, api::SecurityGroup group, WriteOptions options,
                      WriteDone done) = 0;
  // What is given replaces what is: description, rules.
  struct Update {
    std::optional<std::string> description;
    std::optional<std::vector<api::SecurityRule>> rules;
    std::vector<api::SecurityRule> add;     // that it has already: refused
    std::vector<api::SecurityRule> remove;  // that it has not: refused
  };
  virtual void Alter(const Principal& who, const ProjectKey& key, Update update,
                     WriteOptions options, WriteDone done) = 0;
  // kFailedPrecondition: shipped, or a container or another group's rule still names it.
  virtual void Delete(const Principal& who, const ProjectKey& key, WriteOptions options,
                      WriteDone done) = 0;
};

}  // namespace bramble::controller
