# SPDX-License-Identifier: Apache-2.0
# bramble_package(…) installs the parts of one Debian package; bramble_finish_packages() hands all of them to CPack.

set(BRAMBLE_PACKAGING_DIR "${CMAKE_BINARY_DIR}/packaging")
file(MAKE_DIRECTORY "${BRAMBLE_PACKAGING_DIR}")

# Installs `files` gzipped as Debian wants it: at best ratio and without a time stamp.
function(bramble_install_gzipped source destination name component)
  set(packed "${BRAMBLE_PACKAGING_DIR}/${component}-${name}.gz")
  execute_process(
    COMMAND gzip -9nc "${source}" OUTPUT_FILE "${packed}" COMMAND_ERROR_IS_FATAL ANY)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${source}")
  install(FILES "${packed}" DESTINATION "${destination}" RENAME "${name}.gz" COMPONENT ${component})
endfunction()

# Programs that are not built here (another part of the tree, or a cross build) are left out.
function(bramble_install_programs component destination)
  foreach(program IN LISTS ARGN)
    if(TARGET ${program})
      install(TARGETS ${program} RUNTIME DESTINATION "${destination}" COMPONENT ${component})
    endif()
  endforeach()
endfunction()

# What `bramble completion SHELL` of this very build prints; a cross build's own program runs under its emulator.
function(bramble_install_completion component shell path)
  set(script "${BRAMBLE_PACKAGING_DIR}/completion.${shell}")
  add_custom_command(
    OUTPUT "${script}"
    COMMAND "${CMAKE_SOURCE_DIR}/cmake/print_to_file" "${script}" ${CMAKE_CROSSCOMPILING_EMULATOR} $<TARGET_FILE:bramble>
      completion ${shell}
    DEPENDS bramble "${CMAKE_SOURCE_DIR}/cmake/print_to_file"
    VERBATIM)
  add_custom_target(completion-${shell} ALL DEPENDS "${script}")
  add_dependencies(products completion-${shell})
  get_filename_component(directory "${path}" DIRECTORY)
  get_filename_component(name "${path}" NAME)
  install(FILES "${script}" DESTINATION "share/${directory}" RENAME "${name}" COMPONENT ${component})
endfunction()

# The maintainer scripts and the list of configuration files, in a directory of the package's own.
function(bramble_control_files component units sysusers tmpfiles state config)
  set(directory "${BRAMBLE_PACKAGING_DIR}/${component}")
  set(BRAMBLE_UNITS "${units}")
  list(REVERSE units)
  set(BRAMBLE_UNITS_REVERSED "${units}")
  list(JOIN BRAMBLE_UNITS " " BRAMBLE_UNITS)
  list(JOIN BRAMBLE_UNITS_REVERSED " " BRAMBLE_UNITS_REVERSED)
  set(BRAMBLE_SYSUSERS "${sysusers}")
  set(BRAMBLE_TMPFILES "${tmpfiles}")
  set(BRAMBLE_STATE "${state}")
  set(files "")
  foreach(script IN ITEMS postinst prerm postrm)
    configure_file("debian/${script}.in" "${directory}/${script}" @ONLY
      FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
    list(APPEND files "${directory}/${script}")
  endforeach()
  list(TRANSFORM config PREPEND "/etc/bramble/")
  list(JOIN config "\n" conffiles)
  file(WRITE "${directory}/conffiles" "${conffiles}\n")
  list(APPEND files "${directory}/conffiles")
  string(TOUPPER ${component} COMPONENT)
  set(CPACK_DEBIAN_${COMPONENT}_PACKAGE_CONTROL_EXTRA "${files}" PARENT_SCOPE)
endfunction()

# bramble_package(COMPONENT node PACKAGE bramble-node SUMMARY … DESCRIPTION … [PROGRAMS to /usr/bin]
#   [SERVICES to /usr/sbin] [LIBEXEC to /usr/libexec/bramble] [UNITS …] [CONFIG …] [SECRET_CONFIG] [SYSUSERS …] [TMPFILES …]
#   [STATE directory] [MAN …] [COMPLETION shell=path below share…]
#   [DEPENDS packages beside those of the libraries] SECTION admin)
function(bramble_package)
  cmake_parse_arguments(ARG "SECRET_CONFIG" "COMPONENT;PACKAGE;SUMMARY;DESCRIPTION;STATE;SECTION"
    "PROGRAMS;SERVICES;LIBEXEC;UNITS;CONFIG;COMPLETION;SYSUSERS;TMPFILES;MAN;DEPENDS" ${ARGN})
  set(component ${ARG_COMPONENT})
  set(doc "share/doc/${ARG_PACKAGE}")
  bramble_install_programs(${component} bin ${ARG_PROGRAMS})
  bramble_install_programs(${component} sbin ${ARG_SERVICES})
  bramble_install_programs(${component} libexec/bramble ${ARG_LIBEXEC})
  list(TRANSFORM ARG_UNITS PREPEND systemd/ OUTPUT_VARIABLE units)
  install(FILES ${units} DESTINATION /lib/systemd/system COMPONENT ${component})
  # What may hold a secret is root's alone.
  set(readers OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
  if(ARG_SECRET_CONFIG)
    set(readers OWNER_READ OWNER_WRITE)
  endif()
  install(FILES ${ARG_CONFIG} DESTINATION /etc/bramble COMPONENT ${component} PERMISSIONS ${readers})
  list(TRANSFORM ARG_SYSUSERS PREPEND sysusers/ OUTPUT_VARIABLE sysusers)
  install(FILES ${sysusers} DESTINATION lib/sysusers.d COMPONENT ${component})
  list(TRANSFORM ARG_TMPFILES PREPEND tmpfiles/ OUTPUT_VARIABLE tmpfiles)
  install(FILES ${tmpfiles} DESTINATION lib/tmpfiles.d COMPONENT ${component})
  foreach(pair IN LISTS ARG_COMPLETION)
    string(REPLACE "=" ";" pair "${pair}")
    list(GET pair 0 shell)
    list(GET pair 1 path)
    bramble_install_completion(${component} ${shell} "${path}")
  endforeach()
  if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/lintian/${ARG_PACKAGE}")
    install(FILES "lintian/${ARG_PACKAGE}" DESTINATION share/lintian/overrides COMPONENT ${component})
  endif()
  install(FILES debian/copyright DESTINATION "${doc}" COMPONENT ${component})
  bramble_install_gzipped("${CMAKE_CURRENT_SOURCE_DIR}/debian/changelog" "${doc}" changelog ${component})
  foreach(page IN LISTS ARG_MAN)
    string(REGEX MATCH "[0-9]$" section "${page}")
    get_filename_component(name "${page}" NAME)
    bramble_install_gzipped("${CMAKE_CURRENT_SOURCE_DIR}/${page}" "share/man/man${section}" "${name}" ${component})
  endforeach()

  string(TOUPPER ${component} upper)
  if(ARG_UNITS)
    bramble_control_files(${component} "${ARG_UNITS}" "${ARG_SYSUSERS}" "${ARG_TMPFILES}" "${ARG_STATE}" "${ARG_CONFIG}")
    set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA "${CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA}" PARENT_SCOPE)
    set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_STRICT_PERMISSION ON PARENT_SCOPE)
  endif()
  list(JOIN ARG_DEPENDS ", " depends)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${ARG_PACKAGE} PARENT_SCOPE)
  set(CPACK_DEBIAN_${upper}_PACKAGE_DEPENDS "${depends}" PARENT_SCOPE)
  set(CPACK_DEBIAN_${upper}_PACKAGE_SECTION ${ARG_SECTION} PARENT_SCOPE)
  set(CPACK_DEBIAN_${upper}_DESCRIPTION "${ARG_SUMMARY}\n${ARG_DESCRIPTION}" PARENT_SCOPE)
  set(CPACK_COMPONENTS_ALL ${CPACK_COMPONENTS_ALL} ${component} PARENT_SCOPE)
endfunction()

macro(bramble_finish_packages)
  set(CPACK_GENERATOR DEB)
  set(CPACK_PACKAGE_NAME bramble)
  set(CPACK_PACKAGE_VENDOR Bramble)
  set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # each package has its own
  set(CPACK_PACKAGE_CONTACT "The Bramble authors <bramble@bramble.invalid>")
  set(CPACK_PACKAGE_DIRECTORY "${CMAKE_BINARY_DIR}/packages")
  set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
  set(CPACK_SET_DESTDIR ON)
  set(CPACK_INSTALL_PREFIX /usr)
  set(CPACK_STRIP_FILES ON)
  set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  set(CPACK_DEB_COMPONENT_INSTALL ON)
  set(CPACK_COMPONENTS_GROUPING IGNORE)
  set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
  set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
  set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
  if(CMAKE_CROSSCOMPILING)
    set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE ${BRAMBLE_DEBIAN_ARCH})
    # dpkg-shlibdeps knows only the libraries that are installed here.
    file(WRITE "${BRAMBLE_PACKAGING_DIR}/shlibdeps"
      "#!/bin/sh\nexec '${CMAKE_SOURCE_DIR}/tools/dev/shlibdeps' '${BRAMBLE_SYSROOT}' \"$@\"\n")
    file(CHMOD "${BRAMBLE_PACKAGING_DIR}/shlibdeps"
      PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
    file(WRITE "${BRAMBLE_PACKAGING_DIR}/cpack_project.cmake"
      "set(SHLIBDEPS_EXECUTABLE \"${BRAMBLE_PACKAGING_DIR}/shlibdeps\")\n")
    set(CPACK_PROJECT_CONFIG_FILE "${BRAMBLE_PACKAGING_DIR}/cpack_project.cmake")
  endif()
  include(CPack)
endmacro()
