# The device code: one object library, lockstep_cuda_kernels, that the CUDA plug-in and the GPU
# tests link.
#
# It exists where a CUDA toolkit (13 or later) is found that works with this C++ compiler, and the
# environment does not say LOCKSTEP_CUDA=0. It needs no LibTorch: kernels take pointers, sizes and a
# stream. The target `programs` does not depend on it, so a machine without a GPU never waits for
# nvcc.
#
# lockstep_cuda_kernels([EXACT] file...) lists a folder's .cu files, also for tests/emulation, which
# compiles them as C++. EXACT: no contraction of a·b + c, so that the bits are those of the CPU.
# lockstep_cuda_parts(file...) lists a folder's *_cuda.cc, which hand the kernels to liblockstep.so:
# sources of the plug-in liblockstep_cuda.so, which finds them in the global property
# LOCKSTEP_CUDA_PARTS.

set(LOCKSTEP_HAVE_CUDA_KERNELS OFF)
if(NOT "$ENV{LOCKSTEP_CUDA}" STREQUAL "0")
  find_package(CUDAToolkit 13 QUIET)
  if(CUDAToolkit_FOUND)
    # A100, H100 and H200, and PTX that later GPUs translate.
    set(CMAKE_CUDA_ARCHITECTURES "80-real;90-real;90-virtual" CACHE STRING
      "GPU architectures of the kernels")
    if(NOT DEFINED CMAKE_CUDA_COMPILER AND EXISTS "${CUDAToolkit_NVCC_EXECUTABLE}")
      set(CMAKE_CUDA_COMPILER "${CUDAToolkit_NVCC_EXECUTABLE}")
    endif()
    set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)
    include(CheckLanguage)
    check_language(CUDA)
    if(CMAKE_CUDA_COMPILER)
      enable_language(CUDA)
      # CMake 3.25 does not know yet that nvcc speaks C++20.
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
      set(LOCKSTEP_HAVE_CUDA_KERNELS ON)
      if(LOCKSTEP_CCACHE AND NOT DEFINED CMAKE_CUDA_COMPILER_LAUNCHER)
        set(CMAKE_CUDA_COMPILER_LAUNCHER "${LOCKSTEP_CCACHE}")
      endif()
      add_library(lockstep_cuda_kernels OBJECT)
      target_include_directories(lockstep_cuda_kernels PRIVATE ${CMAKE_SOURCE_DIR})
      set_target_properties(lockstep_cuda_kernels PROPERTIES
        CUDA_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
      target_compile_options(lockstep_cuda_kernels PRIVATE
        -Xcompiler=-Wall,-Wextra,-Wno-unused-parameter)
    endif()
  endif()
endif()

function(lockstep_cuda_kernels)
  cmake_parse_arguments(ARG "EXACT" "" "" ${ARGN})
  foreach(file IN LISTS ARG_UNPARSED_ARGUMENTS)
    set(path ${CMAKE_CURRENT_SOURCE_DIR}/${file})
    set_property(GLOBAL APPEND PROPERTY LOCKSTEP_CUDA_SOURCES ${path})
    if(LOCKSTEP_HAVE_CUDA_KERNELS)
      target_sources(lockstep_cuda_kernels PRIVATE ${path})
      if(ARG_EXACT)
        set_source_files_properties(${path} TARGET_DIRECTORY lockstep_cuda_kernels PROPERTIES
          COMPILE_OPTIONS -fmad=false)
      endif()
    endif()
  endforeach()
endfunction()

function(lockstep_cuda_parts)
  foreach(file IN LISTS ARGN)
    set_property(GLOBAL APPEND PROPERTY LOCKSTEP_CUDA_PARTS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  endforeach()
endfunction()
