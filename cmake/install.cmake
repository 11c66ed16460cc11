# The installed package: find_package(millrace) gives millrace::queue, millrace::engine_embedded, …
# Flags and warnings of our own build stay here.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_property(rooms GLOBAL PROPERTY MILLRACE_INSTALLED_ROOMS)
install(TARGETS ${rooms} millrace_asio millrace_asio_ssl millrace_beast EXPORT millrace-targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/millrace)
install(EXPORT millrace-targets NAMESPACE millrace:: DESTINATION ${package_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/millrace-config.cmake.in
  ${PROJECT_BINARY_DIR}/millrace-config.cmake INSTALL_DESTINATION ${package_dir}
  NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
# Before 1.0 a minor version may change what programs see.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/millrace-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/millrace-config.cmake
              ${PROJECT_BINARY_DIR}/millrace-config-version.cmake DESTINATION ${package_dir})
