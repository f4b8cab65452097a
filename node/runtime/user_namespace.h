// SPDX-License-Identifier: Apache-2.0
#pragma once

// A user namespace of an id range, held open by a child process that can also work in it: a process
// with every capability over the range's files and none over the host's.

#include <sys/types.h>

#include <functional>

#include "base/fd.h"
#include "node/runtime/runtime_spec.h"

#include "absl/status/statusor.h"

namespace bramble::node {

class UserNamespace {
 public:
  // Ids [inside, inside + count) of the namespace are `range` of the host.  `work`, if given, is
  // what the child does as root of the namespace when RunWork asks it to; it has the memory,
  // descriptors and mounts of the moment of Create, and of mounts also the later ones.
  static absl::StatusOr<UserNamespace> Create(uint32_t inside, IdRange range,
                                              const std::function<absl::Status()>& work = {});

  UserNamespace(UserNamespace&&) noexcept;
  UserNamespace& operator=(UserNamespace&&) noexcept;
  ~UserNamespace();

  int fd() const { return ns_.get(); }

  // Becomes root of the namespace (of its id `inside`) for good, with no way back: the caller is
  // single-threaded and does not trust the files that it will touch.
  absl::Status Enter() const;

  // Has the child work, and gives what it returned.  Once.
  absl::Status RunWork();

 private:
  UserNamespace() = default;
  Fd ns_;
  Fd go_;      // a byte has the child work, its end has it end
  Fd result_;  // what the work returned
  uint32_t inside_ = 0;
};

// Becomes root in the user namespace `ns` where its id `inside` is root, for good.
absl::Status EnterUserNamespace(int ns, uint32_t inside);

}  // namespace bramble::node
