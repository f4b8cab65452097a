// SPDX-License-Identifier: Apache-2.0
#pragma once

// A machine for tests of the real runtime: directories of its own, a busybox image made from
// Debian's busybox-static, a bridge in a network namespace of the test's own, a cgroup of its own.
// All of it goes with the object.  Needs root and the programs in BRAMBLE_BIN.

#include <memory>
#include <string>

#include "base/asio.h"
#include "node/runtime/lxc_runtime.h"

namespace bramble::node {

class LxcMachine {
 public:
  // Why the real runtime cannot run here, or nullptr.
  static const char* Unfit();
  // Has the machines of this process see cgroup v2 alone, with the controllers that v1 leaves it
  // (on a hybrid machine: none to speak of).  Before the first one.
  static void UseUnifiedCgroups();

  LxcMachine();
  ~LxcMachine();

  asio::io_context& loop() { return loop_; }
  LxcRuntime& runtime() { return *runtime_; }
  LxcRuntime& access() { return *runtime_; }
  // Id ranges follow from the order in which ids are asked for; a nic when `addressed`.
  RuntimeSpec Spec(const std::string& id);
  RuntimeSpec AddressedSpec(const std::string& id, int host_number);
  void RestartAgent();

  const std::string& directory() const { return directory_; }
  std::string state() const { return directory_ + "/state"; }
  std::string run() const { return directory_ + "/run"; }
  std::string tree() const { return directory_ + "/images/busybox/tree"; }
  const std::string& cgroup_root() const { return cgroup_root_; }
  std::string program() const;
  LxcRuntime::Options RuntimeOptions() const;

  // Lines of the host's mount table that name our directory.
  int MountsLeft() const;
  // Directories of cgroups named after container `id`.
  int CgroupsLeft(const std::string& id) const;

 private:
  void MakeImage();
  void MakeBridge();

  asio::io_context loop_;
  std::string directory_;
  std::string cgroup_root_;
  std::map<std::string, uint32_t> first_ids_;
  std::unique_ptr<LxcRuntime> runtime_;
};

}  // namespace bramble::node
