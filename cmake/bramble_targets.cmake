# SPDX-License-Identifier: Apache-2.0
# bramble_library, bramble_binary and bramble_test: a target says what, never how.

# bramble_library(NAME base_json HDRS json.h SRCS json.cc DEPS bramble::base_status)
# Makes the static library bramble_NAME, known as bramble::NAME.
function(bramble_library)
  cmake_parse_arguments(ARG "" "NAME" "HDRS;SRCS;DEPS" ${ARGN})
  if(ARG_SRCS)
    add_library(bramble_${ARG_NAME} STATIC ${ARG_SRCS} ${ARG_HDRS})
    target_link_libraries(bramble_${ARG_NAME} PUBLIC bramble_options ${ARG_DEPS})
    bramble_use_precompiled(bramble_${ARG_NAME} bramble_precompiled)
  else()
    add_library(bramble_${ARG_NAME} INTERFACE)
    target_link_libraries(bramble_${ARG_NAME} INTERFACE bramble_options ${ARG_DEPS})
  endif()
  add_library(bramble::${ARG_NAME} ALIAS bramble_${ARG_NAME})
endfunction()

# What tools/test builds: `products` is every program, `tests-LABEL` the tests of a label with what they start.
add_custom_target(products)
foreach(label IN ITEMS unit integration system network image boot threads long)
  add_custom_target(tests-${label})
endforeach()
add_dependencies(tests-integration products)
add_dependencies(tests-system products)
add_dependencies(tests-network products)
add_dependencies(tests-image products)
add_dependencies(tests-boot products)
add_dependencies(tests-long products)

# bramble_binary(NAME bramble-node SRCS main.cc DEPS …): bin/NAME.
function(bramble_binary)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;DEPS" ${ARGN})
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_link_libraries(${ARG_NAME} PRIVATE bramble_options ${ARG_DEPS})
  add_dependencies(products ${ARG_NAME})
endfunction()

# bramble_bench(NAME bench-scheduler SRCS scheduler_bench.cc DEPS …): bench/NAME, which tools/bench runs and only the
# target `benches` builds.
add_custom_target(benches)
function(bramble_bench)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;DEPS" ${ARGN})
  add_executable(${ARG_NAME} EXCLUDE_FROM_ALL ${ARG_SRCS})
  set_target_properties(${ARG_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bench")
  target_link_libraries(${ARG_NAME} PRIVATE bramble_options ${ARG_DEPS})
  add_dependencies(benches ${ARG_NAME})
endfunction()

# bramble_test(NAME base_json_test SRCS json_test.cc DEPS … [LABELS unit] [DATA file…] [TIMEOUT s])
# A GoogleTest program, one CTest entry.  Labels: unit (default), integration, system, network, image, browser, fuzz,
# long (only tools/test --long runs it); `threads` beside one of them has it run under ThreadSanitizer too.
# TIMEOUT is in seconds, 120 by default.  LONG: `tools/test --long` runs it once more, with BRAMBLE_LONG=1, for which it
# makes many more rounds (base/long_tests.h).
function(bramble_test)
  cmake_parse_arguments(ARG "LONG" "NAME;TIMEOUT" "SRCS;DEPS;LABELS;ENVIRONMENT" ${ARGN})
  if(NOT TARGET GTest::gmock_main)
    return()
  endif()
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${ARG_NAME} ${ARG_SRCS})
  set_target_properties(${ARG_NAME} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  target_link_libraries(${ARG_NAME} PRIVATE
    bramble_test_options ${ARG_DEPS} GTest::gmock_main GTest::gmock GTest::gtest)
  bramble_use_precompiled(${ARG_NAME} bramble_precompiled_test)
  add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME} WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
  set_tests_properties(${ARG_NAME} PROPERTIES
    LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT}
    ENVIRONMENT "BRAMBLE_BIN=${CMAKE_BINARY_DIR}/bin;${ARG_ENVIRONMENT}")
  bramble_label(${ARG_NAME} ${ARG_LABELS})
  if(ARG_LONG)
    add_test(NAME ${ARG_NAME}_long COMMAND ${ARG_NAME} WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
    set_tests_properties(${ARG_NAME}_long PROPERTIES
      LABELS long TIMEOUT 7200
      ENVIRONMENT "BRAMBLE_BIN=${CMAKE_BINARY_DIR}/bin;BRAMBLE_LONG=1;${ARG_ENVIRONMENT}")
    bramble_label(${ARG_NAME} long)
  endif()
endfunction()

# bramble_fuzz(NAME dns SRCS dns_fuzz.cc DEPS …): fuzz/dns, which defines what tests/fuzz/fuzz.h says.  CTest runs it for
# some seconds (label `fuzz`) and, under `tools/test --long`, for half an hour (label `fuzz-long`).
add_custom_target(fuzzers)
function(bramble_fuzz)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;DEPS" ${ARGN})
  set(target fuzz-${ARG_NAME})
  add_executable(${target} EXCLUDE_FROM_ALL ${ARG_SRCS})
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME "${ARG_NAME}" RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/fuzz")
  target_link_libraries(${target} PRIVATE bramble_options ${ARG_DEPS})
  target_link_options(${target} PRIVATE -fsanitize=fuzzer,address,undefined)
  add_dependencies(fuzzers ${target})
  foreach(suffix IN ITEMS "" _long)
    add_test(NAME ${ARG_NAME}_fuzz${suffix}
      COMMAND "${CMAKE_SOURCE_DIR}/tests/fuzz/run" $<TARGET_FILE:${target}> WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
  endforeach()
  set_tests_properties(${ARG_NAME}_fuzz PROPERTIES LABELS fuzz TIMEOUT 60 ENVIRONMENT "BRAMBLE_SOURCE=${CMAKE_SOURCE_DIR}")
  set_tests_properties(${ARG_NAME}_fuzz_long PROPERTIES
    LABELS fuzz-long TIMEOUT 2400 ENVIRONMENT "BRAMBLE_SOURCE=${CMAKE_SOURCE_DIR};BRAMBLE_LONG=1")
endfunction()

# Has the targets tests-LABEL build the test program NAME.
function(bramble_label NAME)
  foreach(label IN LISTS ARGN)
    if(TARGET tests-${label})
      add_dependencies(tests-${label} ${NAME})
    endif()
  endforeach()
  if("threads" IN_LIST ARGN AND NOT "unit" IN_LIST ARGN)
    add_dependencies(tests-threads products)
  endif()
endfunction()

# bramble_script_test(NAME lint_test SCRIPT lint_test.sh [LABELS unit] [TIMEOUT s] [LONG])
# A shell script that is a test: exit 0 passed, 77 skipped (its last line says why), else failed.  BRAMBLE_BIN and
# BRAMBLE_SOURCE say where the programs and the checkout are.  LONG as above.
function(bramble_script_test)
  cmake_parse_arguments(ARG "LONG" "NAME;SCRIPT;TIMEOUT" "LABELS" ${ARGN})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  # A script that starts no program of ours says the same in every build: once is enough.
  if(CMAKE_CROSSCOMPILING OR (BRAMBLE_SANITIZE AND "unit" IN_LIST ARG_LABELS))
    return()
  endif()
  add_test(NAME ${ARG_NAME} COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/${ARG_SCRIPT}"
    WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
  set_tests_properties(${ARG_NAME} PROPERTIES
    LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT} SKIP_RETURN_CODE 77
    ENVIRONMENT "BRAMBLE_BIN=${CMAKE_BINARY_DIR}/bin;BRAMBLE_SOURCE=${CMAKE_SOURCE_DIR}")
  if(ARG_LONG)
    add_test(NAME ${ARG_NAME}_long COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/${ARG_SCRIPT}"
      WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
    set_tests_properties(${ARG_NAME}_long PROPERTIES
      LABELS long TIMEOUT 25200 SKIP_RETURN_CODE 77
      ENVIRONMENT "BRAMBLE_BIN=${CMAKE_BINARY_DIR}/bin;BRAMBLE_SOURCE=${CMAKE_SOURCE_DIR};BRAMBLE_LONG=1")
  endif()
endfunction()
