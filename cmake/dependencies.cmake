# The libraries that Lockstep uses, as imported targets named lockstep::<library>.
#
# Each one is looked for first in what `scripts/setup` unpacked under .deps/ and
# then on the system, with find_path and find_library only: that works the same
# for packages installed by root and for packages unpacked without root, where
# pkg-config files and CMake's own package files would point to /usr.
#
# Targets:    lockstep::torch  hdf5  yaml  json  cli11  spdlog  fmt  png  jpeg
#             zlib  xxhash
#             lockstep::mpi (if LOCKSTEP_HAVE_MPI), gtest (if LOCKSTEP_TESTS is not off),
#             lockstep::torch_cuda (if LOCKSTEP_HAVE_TORCH_CUDA)
# Variables:  LOCKSTEP_HAVE_MPI  LOCKSTEP_HAVE_TORCH_CUDA  LOCKSTEP_TORCH_VERSION
#             LOCKSTEP_MPIRUN (the launcher's path)

set(LOCKSTEP_DEPS_DIR "${CMAKE_CURRENT_LIST_DIR}/../.deps" CACHE PATH
  "Where scripts/setup unpacks libraries")
get_filename_component(LOCKSTEP_DEPS_DIR "${LOCKSTEP_DEPS_DIR}" ABSOLUTE)
set(_debian "${LOCKSTEP_DEPS_DIR}/debian/usr")
set(_debian_lib "${_debian}/lib/${CMAKE_LIBRARY_ARCHITECTURE}")

# When set-up finishes with other libraries than before, CMake looks again.
if(EXISTS "${LOCKSTEP_DEPS_DIR}/environment.sh")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
    "${LOCKSTEP_DEPS_DIR}/environment.sh")
endif()

if(EXISTS "${_debian}")
  # Libraries unpacked without root need each other. RPATH, unlike RUNPATH, also
  # serves the libraries of libraries, so programs run without LD_LIBRARY_PATH.
  add_link_options("LINKER:-rpath-link,${_debian_lib}" "LINKER:--disable-new-dtags"
    "LINKER:-rpath,${_debian_lib}")
endif()

# ccache, if present, makes a second compile of the same text nearly free.
find_program(LOCKSTEP_CCACHE ccache HINTS "${_debian}/bin")
if(LOCKSTEP_CCACHE AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  # These two let ccache work together with a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER
    "${CMAKE_COMMAND};-E;env;CCACHE_SLOPPINESS=pch_defines,time_macros;${LOCKSTEP_CCACHE}")
endif()

# lockstep_find(NAME HEADER file [SUFFIXES dirs] [LIBRARIES names...] [OPTIONAL])
# makes the target lockstep::NAME, or says what is missing.
# Each entry of LIBRARIES may list alternatives as "a|b".
function(lockstep_find name)
  cmake_parse_arguments(arg "OPTIONAL" "HEADER;HOME" "SUFFIXES;LIBRARIES;LIBRARY_SUFFIXES" ${ARGN})
  string(TOUPPER ${name} upper)
  find_path(LOCKSTEP_${upper}_INCLUDE ${arg_HEADER}
    HINTS ${arg_HOME} "${_debian}/include" "${_debian_lib}" "/usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}"
    PATH_SUFFIXES ${arg_SUFFIXES})
  set(missing "")
  if(NOT LOCKSTEP_${upper}_INCLUDE)
    list(APPEND missing "${arg_HEADER}")
  endif()
  set(found "")
  foreach(library IN LISTS arg_LIBRARIES)
    string(REPLACE "|" ";" choices "${library}")
    list(GET choices 0 first)
    string(MAKE_C_IDENTIFIER "LOCKSTEP_${upper}_LIBRARY_${first}" variable)
    find_library(${variable} NAMES ${choices} HINTS ${arg_HOME} "${_debian_lib}"
      PATH_SUFFIXES ${arg_LIBRARY_SUFFIXES})
    mark_as_advanced(${variable})
    if(${variable})
      list(APPEND found "${${variable}}")
    else()
      list(APPEND missing "lib${first}")
    endif()
  endforeach()
  mark_as_advanced(LOCKSTEP_${upper}_INCLUDE)
  if(missing)
    if(NOT arg_OPTIONAL)
      list(JOIN missing ", " missing)
      message(FATAL_ERROR "${name}: ${missing} not found. Run scripts/setup.")
    endif()
    return()
  endif()
  add_library(lockstep_${name} INTERFACE)
  add_library(lockstep::${name} ALIAS lockstep_${name})
  target_include_directories(lockstep_${name} SYSTEM INTERFACE "${LOCKSTEP_${upper}_INCLUDE}")
  target_link_libraries(lockstep_${name} INTERFACE ${found})
endfunction()

find_package(Threads REQUIRED)

lockstep_find(hdf5 HEADER hdf5.h SUFFIXES hdf5/serial LIBRARIES "hdf5_serial|hdf5"
  LIBRARY_SUFFIXES hdf5/serial)
lockstep_find(yaml HEADER yaml-cpp/yaml.h LIBRARIES yaml-cpp)
lockstep_find(json HEADER nlohmann/json.hpp)
lockstep_find(cli11 HEADER CLI/CLI.hpp)
lockstep_find(fmt HEADER fmt/format.h LIBRARIES fmt)
lockstep_find(spdlog HEADER spdlog/spdlog.h LIBRARIES spdlog)
target_compile_definitions(lockstep_spdlog INTERFACE SPDLOG_SHARED_LIB SPDLOG_COMPILED_LIB
  SPDLOG_FMT_EXTERNAL)
target_link_libraries(lockstep_spdlog INTERFACE lockstep::fmt Threads::Threads)
lockstep_find(png HEADER png.h SUFFIXES libpng16 LIBRARIES "png16|png")
lockstep_find(jpeg HEADER jpeglib.h LIBRARIES jpeg)
lockstep_find(zlib HEADER zlib.h LIBRARIES z)
# Both packages put their configuration header into the architecture's folder.
foreach(_library jpeg zlib)
  string(TOUPPER ${_library} _upper)
  if(EXISTS "${LOCKSTEP_${_upper}_INCLUDE}/${CMAKE_LIBRARY_ARCHITECTURE}")
    target_include_directories(lockstep_${_library} SYSTEM INTERFACE
      "${LOCKSTEP_${_upper}_INCLUDE}/${CMAKE_LIBRARY_ARCHITECTURE}")
  endif()
endforeach()
lockstep_find(xxhash HEADER xxhash.h LIBRARIES xxhash)

if(NOT DEFINED LOCKSTEP_TESTS OR LOCKSTEP_TESTS)
  lockstep_find(gtest HEADER gtest/gtest.h LIBRARIES gtest_main gmock gtest)
  target_link_libraries(lockstep_gtest INTERFACE Threads::Threads)
endif()

# MPI is a plug-in of its own, so the rest builds without it. MPI_HOME names another one.
lockstep_find(mpi OPTIONAL HOME "$ENV{MPI_HOME}" HEADER mpi.h SUFFIXES openmpi/include include
  LIBRARIES mpi LIBRARY_SUFFIXES openmpi/lib lib)
set(LOCKSTEP_HAVE_MPI OFF)
if(TARGET lockstep_mpi)
  set(LOCKSTEP_HAVE_MPI ON)
  # Open MPI's old C++ bindings would leave undefined symbols of MPI::Comm.
  target_compile_definitions(lockstep_mpi INTERFACE OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)
endif()
find_program(LOCKSTEP_MPIRUN NAMES mpirun mpirun.openmpi orterun HINTS "$ENV{MPI_HOME}/bin"
  "${_debian}/bin")

# LibTorch. find_package(Torch) of the wheel demands a CUDA compiler, so this is
# our own target: CPU parts only; the CUDA plug-in adds lockstep::torch_cuda.
set(LOCKSTEP_TORCH_DIR "" CACHE PATH
  "A folder with LibTorch's include/ and lib/ (default: what scripts/setup made)")
set(_torch "${LOCKSTEP_TORCH_DIR}")
if(NOT _torch)
  set(_torch "${LOCKSTEP_DEPS_DIR}/torch")
  if(NOT EXISTS "${_torch}/lib/libtorch_cpu.so" AND DEFINED ENV{LOCKSTEP_TORCH})
    set(_torch "$ENV{LOCKSTEP_TORCH}")
  endif()
endif()
if(NOT EXISTS "${_torch}/lib/libtorch_cpu.so" OR
  NOT EXISTS "${_torch}/include/torch/csrc/api/include/torch/torch.h")
  message(FATAL_ERROR "LibTorch not found in ${_torch}. Run scripts/setup.")
endif()
file(REAL_PATH "${_torch}" _torch)
foreach(part MAJOR MINOR PATCH)
  file(STRINGS "${_torch}/include/torch/headeronly/version.h" _line REGEX
    "define TORCH_VERSION_${part} ")
  string(REGEX MATCH "[0-9]+" _torch_${part} "${_line}")
endforeach()
set(LOCKSTEP_TORCH_VERSION "${_torch_MAJOR}.${_torch_MINOR}.${_torch_PATCH}")
if(NOT LOCKSTEP_TORCH_VERSION VERSION_GREATER_EQUAL 2.11 OR
  NOT LOCKSTEP_TORCH_VERSION VERSION_LESS 2.12)
  message(FATAL_ERROR
    "LibTorch in ${_torch} is ${LOCKSTEP_TORCH_VERSION}; Lockstep needs 2.11. Run scripts/setup.")
endif()
foreach(library torch_cpu c10)
  add_library(lockstep_torch_${library} SHARED IMPORTED)
  set_target_properties(lockstep_torch_${library} PROPERTIES IMPORTED_LOCATION
    "${_torch}/lib/lib${library}.so")
endforeach()
add_library(lockstep_torch INTERFACE)
add_library(lockstep::torch ALIAS lockstep_torch)
# TRAP: torch/include carries its own, newer fmt, whose library is hidden inside
# libtorch_cpu. A folder in front of it leads to the fmt that spdlog was built with.
file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/include-first")
file(CREATE_LINK "${LOCKSTEP_FMT_INCLUDE}/fmt" "${CMAKE_BINARY_DIR}/include-first/fmt" SYMBOLIC)
target_include_directories(lockstep_torch SYSTEM INTERFACE
  "${CMAKE_BINARY_DIR}/include-first" "${_torch}/include"
  "${_torch}/include/torch/csrc/api/include")
target_compile_definitions(lockstep_torch INTERFACE _GLIBCXX_USE_CXX11_ABI=1)
target_link_libraries(lockstep_torch INTERFACE lockstep_torch_torch_cpu lockstep_torch_c10
  Threads::Threads)

# For the CUDA plug-in: the toolkit, NCCL and LibTorch's CUDA half, or nothing.
# LOCKSTEP_CUDA=0 in the environment hides the toolkit.
set(LOCKSTEP_HAVE_TORCH_CUDA OFF)
if(NOT "$ENV{LOCKSTEP_CUDA}" STREQUAL "0" AND EXISTS "${_torch}/lib/libtorch_cuda.so")
  find_package(CUDAToolkit 13 QUIET)
  if(CUDAToolkit_FOUND)
    find_path(LOCKSTEP_NCCL_INCLUDE nccl.h HINTS "${_torch}/../nvidia/nccl/include"
      ${CUDAToolkit_INCLUDE_DIRS})
    find_library(LOCKSTEP_NCCL_LIBRARY NAMES nccl libnccl.so.2
      HINTS "${_torch}/../nvidia/nccl/lib" "${CUDAToolkit_LIBRARY_DIR}")
    if(LOCKSTEP_NCCL_INCLUDE AND LOCKSTEP_NCCL_LIBRARY)
      set(LOCKSTEP_HAVE_TORCH_CUDA ON)
      foreach(library torch_cuda c10_cuda)
        add_library(lockstep_torch_${library} SHARED IMPORTED)
        set_target_properties(lockstep_torch_${library} PROPERTIES IMPORTED_LOCATION
          "${_torch}/lib/lib${library}.so")
      endforeach()
      add_library(lockstep_torch_cuda_all INTERFACE)
      add_library(lockstep::torch_cuda ALIAS lockstep_torch_cuda_all)
      target_include_directories(lockstep_torch_cuda_all SYSTEM INTERFACE
        ${CUDAToolkit_INCLUDE_DIRS} "${LOCKSTEP_NCCL_INCLUDE}")
      target_compile_definitions(lockstep_torch_cuda_all INTERFACE USE_C10D_NCCL)
      # libtorch_cuda registers its kernels when it is loaded; nothing may drop it.
      target_link_libraries(lockstep_torch_cuda_all INTERFACE lockstep::torch
        "-Wl,--no-as-needed" lockstep_torch_torch_cuda "-Wl,--as-needed" lockstep_torch_c10_cuda
        "${LOCKSTEP_NCCL_LIBRARY}" CUDA::cudart)
    endif()
  endif()
endif()
