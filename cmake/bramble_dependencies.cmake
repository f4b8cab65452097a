# SPDX-License-Identifier: Apache-2.0
# What we take from Debian, each under one name of our own.  Nothing is fetched.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(absl REQUIRED)
find_package(OpenSSL 3 REQUIRED)
# Linked statically: Abseil alone is some thirty shared objects, each of which costs every start of a
# program its relocations and every process its private pages.
set(Boost_USE_STATIC_LIBS ON)
find_package(Boost 1.81 REQUIRED COMPONENTS json)
get_property(bramble_imported DIRECTORY PROPERTY IMPORTED_TARGETS)
foreach(target IN LISTS bramble_imported)
  get_target_property(type ${target} TYPE)
  if(target MATCHES "^absl::" AND type STREQUAL "SHARED_LIBRARY")
    foreach(property IN ITEMS IMPORTED_LOCATION IMPORTED_LOCATION_NONE IMPORTED_LOCATION_RELEASE)
      get_target_property(location ${target} ${property})
      if(location)
        string(REGEX REPLACE "\\.so[.0-9]*$" ".a" static "${location}")
        if(EXISTS "${static}")
          set_target_properties(${target} PROPERTIES ${property} "${static}")
        endif()
      endif()
    endforeach()
  endif()
endforeach()
find_package(GTest)

pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)
pkg_check_modules(ARCHIVE REQUIRED IMPORTED_TARGET libarchive)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(LZMA REQUIRED IMPORTED_TARGET liblzma)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
pkg_check_modules(LXC IMPORTED_TARGET lxc)

# Statically too: it is small, and Debian 12 and 13 have it under names of their own.
pkg_check_modules(GPIOD REQUIRED libgpiod)
find_library(BRAMBLE_GPIOD_LIBRARY libgpiod.a REQUIRED)
string(REGEX MATCH "^[0-9]+" gpiod_major "${GPIOD_VERSION}")
add_library(bramble_gpiod INTERFACE)
target_link_libraries(bramble_gpiod INTERFACE "${BRAMBLE_GPIOD_LIBRARY}")
target_compile_definitions(bramble_gpiod INTERFACE BRAMBLE_GPIOD_MAJOR=${gpiod_major})
add_library(bramble::gpiod ALIAS bramble_gpiod)
pkg_check_modules(SQLITE IMPORTED_TARGET sqlite3)

# The controller runs on x86 (and on any Debian machine that has its libraries); cross builds make
# the node agent and the CLI.
if(CMAKE_CROSSCOMPILING)
  set(BRAMBLE_BUILD_CONTROLLER OFF)
else()
  set(BRAMBLE_BUILD_CONTROLLER ON)
endif()
