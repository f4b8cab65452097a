# SPDX-License-Identifier: Apache-2.0
# The headers of others that nearly every source takes, compiled once for libraries and programs and once for tests: it
# halves what a build costs.  A source still includes what it uses: the release build is made without them, and fails
# where one does not.

if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT CMAKE_CROSSCOMPILING)
  set(bramble_precompile OFF)
else()
  set(bramble_precompile ON)
endif()
option(BRAMBLE_PRECOMPILE "Precompile the headers of others" ${bramble_precompile})

set(bramble_common_headers
  <algorithm> <chrono> <filesystem> <functional> <map> <memory> <optional> <string> <string_view> <variant> <vector>
  <absl/status/statusor.h> <absl/strings/str_format.h>
  <boost/json.hpp>)  # not Asio's: whoever takes them must link it

# Makes the library or program NAME, built with OPTIONS, whose only purpose is to compile the headers that follow.
function(bramble_precompiled NAME OPTIONS)
  target_link_libraries(${NAME} PRIVATE ${OPTIONS} absl::statusor absl::str_format Boost::json)
  target_precompile_headers(${NAME} PRIVATE ${ARGN})
endfunction()

if(BRAMBLE_PRECOMPILE)
  file(CONFIGURE OUTPUT "${CMAKE_BINARY_DIR}/precompiled.cc" CONTENT "int main() {}\n")
  add_library(bramble_precompiled STATIC EXCLUDE_FROM_ALL "${CMAKE_BINARY_DIR}/precompiled.cc")
  bramble_precompiled(bramble_precompiled bramble_options ${bramble_common_headers})
  if(TARGET GTest::gmock_main)
    add_executable(bramble_precompiled_test EXCLUDE_FROM_ALL "${CMAKE_BINARY_DIR}/precompiled.cc")
    target_link_libraries(bramble_precompiled_test PRIVATE GTest::gmock GTest::gtest)
    bramble_precompiled(bramble_precompiled_test bramble_test_options ${bramble_common_headers} <gmock/gmock.h> <gtest/gtest.h>)
  endif()
endif()

# Has TARGET use what FROM (bramble_precompiled or bramble_precompiled_test) compiled.
function(bramble_use_precompiled TARGET FROM)
  if(BRAMBLE_PRECOMPILE)
    target_precompile_headers(${TARGET} REUSE_FROM ${FROM})
  endif()
endfunction()
