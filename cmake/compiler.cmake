# The compiler and what every room is compiled with.

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  message(FATAL_ERROR
    "GCC ${CMAKE_CXX_COMPILER_VERSION} destroys temporaries twice in expressions with co_await. "
    "Use clang-19 (the presets do) or GCC 13 and newer.")
endif()

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

find_program(MILLRACE_CCACHE ccache)
if(MILLRACE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Relative paths: another clone of the same sources finds its objects in the cache.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}
    CCACHE_NOHASHDIR=1 ${MILLRACE_CCACHE})
endif()

if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  find_program(MILLRACE_LLD NAMES ld.lld-19 ld.lld)
  if(MILLRACE_LLD)
    add_link_options(--ld-path=${MILLRACE_LLD})
  endif()
endif()

# MILLRACE_SANITIZE: "address" (with undefined), "thread", or empty.
set(MILLRACE_SANITIZE "" CACHE STRING "Sanitizers: address, thread or empty")
add_library(millrace_flags INTERFACE)
if(MILLRACE_SANITIZE STREQUAL "address")
  set(sanitizers -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
elseif(MILLRACE_SANITIZE STREQUAL "thread")
  set(sanitizers -fsanitize=thread -fno-omit-frame-pointer)
endif()
if(MILLRACE_FUZZ)
  list(APPEND sanitizers -fsanitize=fuzzer-no-link)
endif()
if(sanitizers)
  target_compile_options(millrace_flags INTERFACE ${sanitizers})
  target_link_options(millrace_flags INTERFACE ${sanitizers})
  # Frames are recycled by hand otherwise, which hides use-after-free from the sanitizers.
  target_compile_definitions(millrace_flags INTERFACE BOOST_ASIO_DISABLE_AWAITABLE_FRAME_RECYCLING)
endif()

option(MILLRACE_WERROR "Warnings are errors" ${PROJECT_IS_TOP_LEVEL})
add_library(millrace_warnings INTERFACE)
target_compile_options(millrace_warnings INTERFACE -Wall -Wextra -Wshadow -Wconversion
  -Wnon-virtual-dtor -Woverloaded-virtual
  # Aggregates with defaults are named at the call; the fields left out are meant.
  -Wno-missing-field-initializers -Wno-missing-designated-field-initializers)
if(MILLRACE_WERROR)
  target_compile_options(millrace_warnings INTERFACE -Werror)
endif()
