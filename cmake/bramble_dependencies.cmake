# SPDX-License-Identifier: Apache-2.0
# What we take from Debian, each under one name of our own.  Nothing is fetched.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(absl REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS json)
find_package(GTest)

pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)
pkg_check_modules(ARCHIVE REQUIRED IMPORTED_TARGET libarchive)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
pkg_check_modules(GPIOD IMPORTED_TARGET libgpiod)
pkg_check_modules(LXC IMPORTED_TARGET lxc)
pkg_check_modules(SQLITE IMPORTED_TARGET sqlite3)
find_package(benchmark QUIET)

# The controller runs on x86 (and on any Debian machine that has its libraries); cross builds make
# the node agent and the CLI.
if(CMAKE_CROSSCOMPILING)
  set(BRAMBLE_BUILD_CONTROLLER OFF)
else()
  set(BRAMBLE_BUILD_CONTROLLER ON)
endif()
