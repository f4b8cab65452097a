// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/ids.h"
#include "base/strings.h"

namespace bramble::node {

// Where the runtime keeps what:
//
//   STATE/containers/           0700 root, as all below: a setuid file of a container is out of
//   reach STATE/containers/ID/        of every other user of the host
//     record.json               the spec, and what the writable layer was made for
//     console.log, .log.1       what the console printed
//     layer/upper, layer/work   overlayfs, owned by the container's ids below `upper`
//     disk.ext4                 instead, where only a size-limited file can limit the disk
//     lower/                    mount points, used in private mount namespaces only
//   STATE/containers/.deleted-ID   being removed
//   RUN/runtime/ID.lock         held (flock) by the one bramble-runtime that changes the container
//   RUN/runtime/ID.run          who its monitor and its init are
//   RUN/runtime/ID.exit         how its init ended last
//   RUN/runtime/ID.log          what liblxc complained about, of the last start
//
// RUN is emptied by a boot.  liblxc gets no directory of ours: it wants one that the container's
// root may pass, only to make names from it.
struct RuntimePaths {
  std::filesystem::path state;
  std::filesystem::path run;

  std::filesystem::path Containers() const { return state / "containers"; }
  std::filesystem::path Container(const ContainerId& id) const { return Containers() / id.str(); }
  std::filesystem::path Record(const ContainerId& id) const {
    return Container(id) / "record.json";
  }
  std::filesystem::path ConsoleLog(const ContainerId& id) const {
    return Container(id) / "console.log";
  }
  std::filesystem::path Runtime() const { return run / "runtime"; }
  std::filesystem::path Lock(const ContainerId& id) const { return InRun(id, ".lock"); }
  std::filesystem::path Run(const ContainerId& id) const { return InRun(id, ".run"); }
  std::filesystem::path Exit(const ContainerId& id) const { return InRun(id, ".exit"); }
  std::filesystem::path ErrorLog(const ContainerId& id) const { return InRun(id, ".log"); }
  std::filesystem::path Console(const ContainerId& id) const { return InRun(id, ".console"); }

  // What liblxc knows the container by, in its command socket's name: no other agent's on this
  // machine, whatever the ids.
  std::string LxcName(const ContainerId& id) const {
    uint64_t hash = 14695981039346656037u;  // FNV-1a
    for (const char c : run.string()) {
      hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
    }
    return StrCat(id.str(), ".", hash);
  }

 private:
  std::filesystem::path InRun(const ContainerId& id, const char* suffix) const {
    return Runtime() / StrCat(id.str(), suffix);
  }
};

// What liblxc takes for its directory of containers: one that is there and that every user may
// pass.
inline constexpr char kLxcPath[] = "/usr/lib";

inline constexpr char kDeletedPrefix[] = ".deleted-";

}  // namespace bramble::node
