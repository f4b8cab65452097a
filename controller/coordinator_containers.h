// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/project.h"
#include "controller/coordinator_types.h"

namespace bramble::controller {

class Ledger;

struct CreateContainer {
  ContainerName name;
  ProjectName project = ProjectName::Trusted(api::kDefaultProject);
  api::ContainerSpec spec;  // absent limits come from the flavor
  api::Context context;
};

enum class ContainerVerb { kStart, kStop, kRestart, kFreeze, kUnfreeze, kRebuild };
inline constexpr std::string_view kContainerVerbNames[] = {"start",  "stop",     "restart",
                                                           "freeze", "unfreeze", "rebuild"};

// An object named in a request: by name or by id, in a project.
struct ContainerKey {
  std::string name_or_id;
  std::string project = api::kDefaultProject;
};

// Where a stream (exec, console, logs, push, pull) of a container has to be opened.
struct StreamTarget {
  NodeId node;
  ContainerId container;
};

// Containers as people see them.
class ContainerService {
 public:
  virtual ~ContainerService() = default;

  virtual absl::StatusOr<Rendered> Get(const Principal& who, const ContainerKey& key) = 0;
  // Filter keys: name, state, node, image, project, flavor, class, label.KEY.
  virtual absl::StatusOr<Rendered> List(const Principal& who, const ListQuery& query) = 0;

  // Answers with the container and an operation that succeeds when it is as desired.
  virtual void Create(const Principal& who, CreateContainer request, WriteOptions options,
                      WriteDone done) = 0;
  // `patch` is a JSON merge patch (RFC 7396) of the spec.  What cannot change is refused by name.
  virtual void Update(const Principal& who, const ContainerKey& key, json::value patch,
                      WriteOptions options, WriteDone done) = 0;
  virtual void Act(const Principal& who, const ContainerKey& key, ContainerVerb verb,
                   WriteOptions options, WriteDone done) = 0;
  // Writes a tombstone; the row goes when the node confirms.
  virtual void Delete(const Principal& who, const ContainerKey& key, WriteOptions options,
                      WriteDone done) = 0;

  // Dry run: for every node why or why not.  The body is the Plan of api/openapi.yaml.
  virtual absl::StatusOr<Rendered> Plan(const Principal& who, const CreateContainer& request) = 0;

  // kFailedPrecondition: not on a node, or its node is not connected.
  virtual absl::StatusOr<StreamTarget> FindStreamTarget(const Principal& who,
                                                        const ContainerKey& key) = 0;
};

}  // namespace bramble::controller
