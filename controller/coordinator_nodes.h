// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "controller/coordinator_types.h"

namespace bramble::controller {

struct DrainRequest {
  std::chrono::seconds deadline{600};
  int64_t pace = 2;           // containers moving at once
  bool leave_pinned = false;  // only movable containers leave
};

// Nodes as people see them.  `key` is a name or an id.
class NodeService {
 public:
  virtual ~NodeService() = default;

  virtual absl::StatusOr<Rendered> Get(const Principal& who, const std::string& key) = 0;
  // Filter keys: name, state, pool, cordoned, drain, architecture, label.KEY.
  virtual absl::StatusOr<Rendered> List(const Principal& who, const ListQuery& query) = 0;

  // Lets a pending node in.  `code` is what the person compared; kFailedPrecondition when another.
  virtual void Approve(const Principal& who, const std::string& key, std::string code,
                       WriteOptions options, WriteDone done) = 0;
  // A JSON merge patch of {"name", "labels", "pool", "cordoned"}.
  virtual void Update(const Principal& who, const std::string& key, json::value patch,
                      WriteOptions options, WriteDone done) = 0;
  virtual void Drain(const Principal& who, const std::string& key, DrainRequest request,
                     WriteOptions options, WriteDone done) = 0;
  // Ends a drain and a cordon.
  virtual void Restore(const Principal& who, const std::string& key, WriteOptions options,
                       WriteDone done) = 0;
  // Forgets the node; its certificate is worth nothing from now on.  With containers on it
  // kFailedPrecondition unless `force`, which gives them up.
  virtual void Remove(const Principal& who, const std::string& key, bool force,
                      WriteOptions options, WriteDone done) = 0;
  // A held node (a cloned card): the card that has another serial, or that lost the thread of
  // session values, is told to make a new key and join anew; the first one comes back as it was.
  virtual void Reset(const Principal& who, const std::string& key, WriteOptions options,
                     WriteDone done) = 0;
  // The card of `key` is gone: `by`, a node without containers, takes over its name, labels,
  // address and containers, which start there from their images.
  virtual void Replace(const Principal& who, const std::string& key, std::string by,
                       WriteOptions options, WriteDone done) = 0;
  // "reboot", "poweroff", "identify", "stats": carried out once; answers with an operation.
  virtual void Command(const Principal& who, const std::string& key, std::string verb,
                       json::value arguments, WriteOptions options, WriteDone done) = 0;
};

}  // namespace bramble::controller
