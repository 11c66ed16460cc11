# millrace_room(NAME queue
#   HEADERS include/millrace/queue/queue.hpp …   public headers
#   SOURCES queue.cpp …
#   DEPS millrace::engine …                      public dependencies
#   PRIVATE_DEPS SQLite::SQLite3 …               what never shows in a public header
#   TESTS queue_test.cpp …                       one executable for the room: queue_tests
#   TEST_DEPS …
#   INTERNAL)                                    not part of the installed library
#
# A room sees the headers of the rooms it links and no others, because every room has an include
# root of its own. Tests stand beside the sources they test.
function(millrace_room)
  cmake_parse_arguments(arg "INTERNAL" "NAME" "HEADERS;SOURCES;DEPS;PRIVATE_DEPS;TESTS;TEST_DEPS" ${ARGN})
  set(target millrace_${arg_NAME})
  add_library(${target} STATIC ${arg_SOURCES})
  add_library(millrace::${arg_NAME} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${arg_NAME}
                        VERIFY_INTERFACE_HEADER_SETS ON)
  target_sources(${target} PUBLIC FILE_SET HEADERS BASE_DIRS include FILES ${arg_HEADERS})
  target_compile_features(${target} PUBLIC cxx_std_23)
  target_link_libraries(${target} PUBLIC ${arg_DEPS}
                        PRIVATE ${arg_PRIVATE_DEPS} $<BUILD_INTERFACE:millrace_flags>
                                $<BUILD_INTERFACE:millrace_warnings>)
  if(NOT arg_INTERNAL)
    set_property(GLOBAL APPEND PROPERTY MILLRACE_INSTALLED_ROOMS ${target})
  endif()
  if(MILLRACE_TESTS AND arg_TESTS)
    millrace_test(NAME ${arg_NAME}_tests SOURCES ${arg_TESTS} DEPS ${target} ${arg_TEST_DEPS})
    # Tests may look at the private headers of their own room.
    target_include_directories(${arg_NAME}_tests PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  endif()
endfunction()

# millrace_test(NAME x SOURCES … DEPS … [LABELS …] [TIMEOUT seconds]): one GoogleTest executable,
# registered with ctest as one entry.
function(millrace_test)
  cmake_parse_arguments(arg "" "NAME;TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  add_executable(${arg_NAME} ${arg_SOURCES})
  target_link_libraries(${arg_NAME} PRIVATE ${arg_DEPS} GTest::gtest GTest::gmock GTest::gtest_main
                        millrace_flags millrace_warnings)
  add_test(NAME ${arg_NAME} COMMAND ${arg_NAME})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 900)
  endif()
  set_tests_properties(${arg_NAME} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "unit;${arg_LABELS}")
endfunction()

# millrace_program(NAME x SOURCES … DEPS …): an executable with the project's flags.
function(millrace_program)
  cmake_parse_arguments(arg "" "NAME" "SOURCES;DEPS" ${ARGN})
  add_executable(${arg_NAME} ${arg_SOURCES})
  target_link_libraries(${arg_NAME} PRIVATE ${arg_DEPS} millrace_flags millrace_warnings)
endfunction()
