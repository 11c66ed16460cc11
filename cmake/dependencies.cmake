# Everything comes from Debian 12; tools/setup installs it.

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS json container)
find_package(SQLite3 3.40 REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(spdlog REQUIRED)
find_package(fmt REQUIRED)
find_package(zstd REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(sodium REQUIRED IMPORTED_TARGET libsodium)

# Asio and Beast are compiled once, here; everybody else only sees declarations.
add_library(millrace_asio STATIC ${CMAKE_CURRENT_LIST_DIR}/asio.cpp)
target_compile_definitions(millrace_asio PUBLIC
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED
  BOOST_ASIO_HAS_CO_AWAIT BOOST_ASIO_HAS_STD_COROUTINE)
target_link_libraries(millrace_asio PUBLIC Boost::headers Threads::Threads
                      PRIVATE $<BUILD_INTERFACE:millrace_flags>)
set_target_properties(millrace_asio PROPERTIES EXPORT_NAME asio)
add_library(millrace::asio ALIAS millrace_asio)
# TLS over Asio, for those who speak it.
add_library(millrace_asio_ssl STATIC ${CMAKE_CURRENT_LIST_DIR}/asio_ssl.cpp)
target_link_libraries(millrace_asio_ssl PUBLIC millrace_asio OpenSSL::SSL OpenSSL::Crypto
                      PRIVATE $<BUILD_INTERFACE:millrace_flags>)
set_target_properties(millrace_asio_ssl PROPERTIES EXPORT_NAME asio_ssl)
add_library(millrace::asio_ssl ALIAS millrace_asio_ssl)
add_library(millrace_beast STATIC ${CMAKE_CURRENT_LIST_DIR}/beast.cpp)
target_compile_definitions(millrace_beast PUBLIC BOOST_BEAST_SEPARATE_COMPILATION)
target_link_libraries(millrace_beast PUBLIC millrace_asio PRIVATE $<BUILD_INTERFACE:millrace_flags>)
set_target_properties(millrace_beast PROPERTIES EXPORT_NAME beast)
add_library(millrace::beast ALIAS millrace_beast)
