# cmake --install build --prefix P: programs, libraries and plug-ins, configs, headers, a CMake
# package and man pages. P may be moved afterwards: programs find the libraries by $ORIGIN. LibTorch
# and the libraries that scripts/setup unpacked stay where they are; the run path names their
# folders.
include(GNUInstallDirs)
set(_programs lockstep_launcher_program lockstep_worker_program)
set(_libraries lockstep)
foreach(target lockstep_mpi_plugin lockstep_cuda_plugin)
  if(TARGET ${target})
    list(APPEND _libraries ${target})
  endif()
endforeach()
file(RELATIVE_PATH _to_libraries
  /${CMAKE_INSTALL_BINDIR} /${CMAKE_INSTALL_LIBDIR})
set_target_properties(${_programs} PROPERTIES
  INSTALL_RPATH "$ORIGIN/${_to_libraries};${_torch}/lib" INSTALL_RPATH_USE_LINK_PATH ON)
set_target_properties(${_libraries} PROPERTIES
  INSTALL_RPATH "$ORIGIN;${_torch}/lib" INSTALL_RPATH_USE_LINK_PATH ON)
install(TARGETS ${_programs} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS ${_libraries} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY configs DESTINATION ${CMAKE_INSTALL_DATADIR}/lockstep)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR})

# For plug-ins (docs/plugins.md): find_package(lockstep) and target_link_libraries(mine
# lockstep::lockstep).
set(_package ${CMAKE_INSTALL_LIBDIR}/cmake/lockstep)
foreach(folder core tensor report data packing ddp kernels optim models eval tasks interop train)
  install(DIRECTORY ${folder} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lockstep
    FILES_MATCHING PATTERN "*.h")
endforeach()
# LibTorch's folder has another fmt, which must come second (cmake/dependencies.cmake).
install(DIRECTORY "${LOCKSTEP_FMT_INCLUDE}/fmt" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lockstep)
install(FILES ${CMAKE_BINARY_DIR}/generated/core/version.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lockstep/core)
set(LOCKSTEP_TORCH_FOLDER "${_torch}")
file(RELATIVE_PATH LOCKSTEP_TO_PREFIX "/${_package}" /)
configure_file(cmake/lockstepConfig.cmake.in ${CMAKE_BINARY_DIR}/lockstepConfig.cmake @ONLY)
include(CMakePackageConfigHelpers)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/lockstepConfigVersion.cmake
  COMPATIBILITY ExactVersion)
install(FILES ${CMAKE_BINARY_DIR}/lockstepConfig.cmake
  ${CMAKE_BINARY_DIR}/lockstepConfigVersion.cmake
  DESTINATION ${_package})

# The man page is made of the program's own help, so there is no second list of commands.
find_package(Python3 QUIET COMPONENTS Interpreter)
if(Python3_Interpreter_FOUND)
  install(CODE "execute_process(
    COMMAND \"${Python3_EXECUTABLE}\" \"${CMAKE_SOURCE_DIR}/scripts/lib/man_page.py\"
      \"${CMAKE_BINARY_DIR}/bin/lockstep\" \"${CMAKE_BINARY_DIR}/lockstep.1\"
      COMMAND_ERROR_IS_FATAL ANY)")
  install(FILES ${CMAKE_BINARY_DIR}/lockstep.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endif()
