# The house language: one line a library, program or test.
#
#   reckon_library(NAME SOURCES a.cc DEPS x y)
#   reckon_program(NAME SOURCES main.cc DEPS x y)
#   reckon_test(NAME [GPU] SOURCES a_test.cc DEPS x [LABELS full] [TIMEOUT 900])
#   reckon_fuzz(NAME SOURCES a_fuzz.cc DEPS x)
#
# Include paths come only from linked targets plus the source root, and tests/layering_test
# checks the law of CMakeLists.txt over every #include.

function(reckon_library name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${A_DEPS})
endfunction()

function(reckon_program name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${A_DEPS})
  if(TARGET tsan_mutex)
    target_link_libraries(${name} PRIVATE tsan_mutex)
  endif()
endfunction()

# Labels: fast (default; all of them within 60 s), full, parity, gpu. GPU: those whose names begin
# with Gpu are a test of their own, NAME_gpu, which is skipped where there is no GPU.
function(reckon_test name)
  cmake_parse_arguments(A "GPU" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT A_LABELS)
    set(A_LABELS fast)
  endif()
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 900)
  endif()
  add_executable(${name} ${A_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${A_DEPS} GTest::gmock GTest::gtest_main)
  if(TARGET tsan_mutex)
    target_link_libraries(${name} PRIVATE tsan_mutex)
  endif()
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS "${A_LABELS}" TIMEOUT ${A_TIMEOUT})
  if(A_GPU)
    set_tests_properties(${name} PROPERTIES ENVIRONMENT GTEST_FILTER=-Gpu*)
    add_test(NAME ${name}_gpu COMMAND ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(${name}_gpu PROPERTIES LABELS gpu TIMEOUT ${A_TIMEOUT}
      ENVIRONMENT GTEST_FILTER=Gpu* SKIP_REGULAR_EXPRESSION "needs a GPU")
  endif()
endfunction()

# NAME replays tests/fuzz/corpus/NAME as a fast test. With RECKON_FUZZ (clang) it is the libFuzzer
# program instead, which target fuzz_programs builds into fuzz/.
function(reckon_fuzz name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS" ${ARGN})
  if(RECKON_FUZZ)
    add_executable(${name} ${A_SOURCES})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
    if(NOT TARGET fuzz_programs)
      add_custom_target(fuzz_programs)
    endif()
    add_dependencies(fuzz_programs ${name})
  else()
    add_executable(${name} ${A_SOURCES} ${CMAKE_SOURCE_DIR}/tests/fuzz/replay.cc)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    add_test(NAME ${name} COMMAND ${name} ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name})
    set_tests_properties(${name} PROPERTIES LABELS fast TIMEOUT 900)
  endif()
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${A_DEPS} base)
  if(TARGET tsan_mutex)
    target_link_libraries(${name} PRIVATE tsan_mutex)
  endif()
endfunction()
