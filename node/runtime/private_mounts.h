// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a container's root is made of, mounted where only this process and its children see it: when
// the last of them is gone, however it went, so are the mounts.
//
// The image's tree is cloned, id-mapped into the container's range and becomes the lower layer of
// an overlay whose upper layer is plain: nothing is chowned.  Linux 5.19 or newer. Source:
// mount_setattr(2), open_tree(2), Linux Documentation/filesystems/overlayfs.rst.

#include <string>

#include "node/runtime/user_namespace.h"

#include "absl/status/status.h"

namespace bramble::node {

// A mount namespace of our own, which still follows what the host mounts and unmounts.
absl::Status EnterPrivateMountNamespace();

struct RootMount {
  int directory = -1;  // of the container: has lower/ and, mounted if need be, layer/{upper,work}
  std::string image_tree;
  const UserNamespace* ids = nullptr;  // of the container, over the image's ids
  std::string target;                  // an existing directory
};
// Mounts lower/ and the overlay on `target`, and changes the working directory.
// kFailedPrecondition: the image's tree is not there, or this kernel cannot.
absl::Status MountRoot(const RootMount& root);

// Mounts the ext4 file system of the file `image` in `directory` on `point` there, by a loop device
// that goes with the mount.
absl::Status MountLoopFile(int directory, const std::string& image, const std::string& point);

// Takes away what is mounted on `point` of `directory` in this mount namespace, if anything.
void Unmount(int directory, const std::string& point);

}  // namespace bramble::node
