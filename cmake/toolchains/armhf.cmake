# SPDX-License-Identifier: Apache-2.0
# 32-bit boards with hardware floating point, ARMv7: Raspberry Pi 2, and newer ones under a 32-bit system.
set(CMAKE_SYSTEM_PROCESSOR armv7l)
set(BRAMBLE_DEBIAN_ARCH armhf)
set(BRAMBLE_GNU_TRIPLE arm-linux-gnueabihf)
set(BRAMBLE_QEMU qemu-arm-static)
include("${CMAKE_CURRENT_LIST_DIR}/debian_cross.cmake")
