# SPDX-License-Identifier: Apache-2.0
# 64-bit boards: Raspberry Pi 3, 4, 5, Zero 2.
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(BRAMBLE_DEBIAN_ARCH arm64)
set(BRAMBLE_GNU_TRIPLE aarch64-linux-gnu)
set(BRAMBLE_QEMU qemu-aarch64-static)
include("${CMAKE_CURRENT_LIST_DIR}/debian_cross.cmake")
