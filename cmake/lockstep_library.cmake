# lockstep_library(NAME [TORCH] KNOWS folder... LINKS target... SOURCES file...)
#
# Declares the object library of one folder. KNOWS lists the folders that it may include
# (tests/floors reads these lines and walks the includes). TORCH compiles it with LibTorch and the
# one precompiled header. LINKS are outside libraries.

# The precompiled header that every torch folder reuses: the slow part of a build.
add_library(lockstep_pch OBJECT ${CMAKE_SOURCE_DIR}/cmake/pch.cc)
target_link_libraries(lockstep_pch PRIVATE lockstep::torch lockstep::fmt)
target_include_directories(lockstep_pch PRIVATE ${CMAKE_SOURCE_DIR})
target_precompile_headers(lockstep_pch PRIVATE ${CMAKE_SOURCE_DIR}/cmake/pch.h)

# Compiles a target's sources in batches. CMake leaves out sources with options of their own, so the
# sources of one instruction set stay alone.
function(lockstep_batches TARGET)
  set_target_properties(${TARGET} PROPERTIES
    UNITY_BUILD ${LOCKSTEP_UNITY} UNITY_BUILD_BATCH_SIZE ${LOCKSTEP_UNITY_BATCH})
endfunction()

function(lockstep_library NAME)
  cmake_parse_arguments(ARG "TORCH" "" "KNOWS;LINKS;SOURCES" ${ARGN})
  add_library(lockstep_${NAME} OBJECT ${ARG_SOURCES})
  lockstep_batches(lockstep_${NAME})
  target_include_directories(lockstep_${NAME} PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(lockstep_${NAME} PUBLIC lockstep::fmt)
  if(ARG_TORCH)
    target_link_libraries(lockstep_${NAME} PUBLIC lockstep::torch)
    target_precompile_headers(lockstep_${NAME} REUSE_FROM lockstep_pch)
    set_property(GLOBAL APPEND PROPERTY LOCKSTEP_TORCH_FOLDERS lockstep_${NAME})
  endif()
  target_link_libraries(lockstep_${NAME} PUBLIC ${ARG_LINKS})
  set_property(GLOBAL APPEND PROPERTY LOCKSTEP_OUTSIDE ${ARG_LINKS})
endfunction()

# lockstep_test(NAME [SERIAL] [TORCH] [LABELS ...] LINKS target... SOURCES file...)
# One test program per folder; each GoogleTest case becomes a CTest test at build time.
function(lockstep_test NAME)
  cmake_parse_arguments(ARG "SERIAL;TORCH" "TIMEOUT" "LABELS;LINKS;SOURCES" ${ARGN})
  add_executable(${NAME}_test ${ARG_SOURCES})
  target_include_directories(${NAME}_test PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_definitions(${NAME}_test PRIVATE
    LOCKSTEP_SOURCE_DIR="${CMAKE_SOURCE_DIR}" LOCKSTEP_BINARY_DIR="${CMAKE_BINARY_DIR}")
  target_link_libraries(${NAME}_test PRIVATE lockstep::gtest ${ARG_LINKS})
  if(ARG_TORCH)
    target_link_libraries(${NAME}_test PRIVATE lockstep lockstep::torch lockstep::fmt)
    target_precompile_headers(${NAME}_test REUSE_FROM lockstep_pch)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  # One CTest entry per program: starting libtorch costs 0.3 s, so cases share a process.
  add_test(NAME ${NAME} COMMAND ${NAME}_test)
  set_tests_properties(${NAME} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}"
    RUN_SERIAL ${ARG_SERIAL} ENVIRONMENT "OMP_NUM_THREADS=1")
endfunction()
