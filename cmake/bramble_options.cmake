# SPDX-License-Identifier: Apache-2.0
# Language level, warnings, sanitizers and ccache for every target.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_LINK_DEPENDS_NO_SHARED ON)

# As Debian builds: smaller than -O3, and built sooner.
set(CMAKE_C_FLAGS_RELEASE "-O2 -DNDEBUG")
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")

set(BRAMBLE_SANITIZE "" CACHE STRING "Sanitizers to build with: 'address,undefined' or 'thread'")

option(BRAMBLE_FUZZ "Build the fuzz targets (clang only), and the libraries that they need for them" OFF)

add_library(bramble_options INTERFACE)
target_compile_options(bramble_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Werror
  # GCC 12 warns in Boost.Asio's and the standard library's own headers once they are inlined.
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
  $<$<CXX_COMPILER_ID:GNU>:-Wno-dangling-pointer>
  $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow>
  $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds>
  # Optimised, GCC 12 takes a coroutine's frame for one that another allocator made.
  $<$<AND:$<CONFIG:Release>,$<CXX_COMPILER_ID:GNU>>:-Wno-mismatched-new-delete>
  # Designated initialisers name what is set; what is not named has its default on purpose.
  -Wno-missing-field-initializers
  -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=
  # ccache needs these for precompiled headers.
  $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>
  "$<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>"
  $<$<CXX_COMPILER_ID:Clang>:-Wno-error>  # GCC's warnings count: it builds everything too
  $<$<CONFIG:Debug>:-g1>
  $<$<CONFIG:Release>:-fstack-protector-strong>
  $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2>)
target_link_options(bramble_options INTERFACE
  $<$<CONFIG:Release>:-Wl,-z,relro,-z,now>
  -Wl,--as-needed)
target_include_directories(bramble_options INTERFACE "${CMAKE_SOURCE_DIR}" "${CMAKE_BINARY_DIR}")
target_compile_definitions(bramble_options INTERFACE
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED
  # As Boost's own targets have it: what is precompiled fits only where the same macros are set.
  BOOST_CONTAINER_NO_LIB BOOST_JSON_NO_LIB
  BRAMBLE_VERSION="${PROJECT_VERSION}")
if(CMAKE_SIZEOF_VOID_P EQUAL 4)
  # Images are larger than 2 GiB on these boards too.
  target_compile_definitions(bramble_options INTERFACE _FILE_OFFSET_BITS=64)
endif()

# What tests take.  Those for boards run in an emulator, once: optimising them takes longer than it saves.
add_library(bramble_test_options INTERFACE)
target_link_libraries(bramble_test_options INTERFACE bramble_options)
if(CMAKE_CROSSCOMPILING)
  target_compile_options(bramble_test_options INTERFACE -O0 -U_FORTIFY_SOURCE)
endif()

if(BRAMBLE_SANITIZE)
  target_compile_options(bramble_options INTERFACE
    # Not optimised: compiling is what takes long here, and optimising what is instrumented nearly doubles it.
    -fsanitize=${BRAMBLE_SANITIZE} -fno-omit-frame-pointer -O0 -fno-sanitize-recover=all
    # clang 14 cannot assemble what this one does to coroutines.
    $<$<CXX_COMPILER_ID:Clang>:-fno-sanitize=function>)
  target_compile_definitions(bramble_options INTERFACE BRAMBLE_SANITIZED)
  target_link_options(bramble_options INTERFACE -fsanitize=${BRAMBLE_SANITIZE})
endif()

if(BRAMBLE_FUZZ)
  target_compile_options(bramble_options INTERFACE
    -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1)
  target_compile_definitions(bramble_options INTERFACE BRAMBLE_SANITIZED)
  target_link_options(bramble_options INTERFACE -fsanitize=address,undefined)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  # Paths relative to the checkout, so that a fresh clone elsewhere finds the same entries.
  set(CMAKE_CXX_COMPILER_LAUNCHER
    "${CMAKE_COMMAND}" -E env "CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}" CCACHE_NOHASHDIR=1
    # As its manual asks for precompiled headers.
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
    "${CCACHE_PROGRAM}")
  set(CMAKE_C_COMPILER_LAUNCHER "${CMAKE_CXX_COMPILER_LAUNCHER}")
endif()
