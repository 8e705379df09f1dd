// For tests that need a GPU: opens the CUDA plug-in, or says why the test is skipped.
//
// The plug-in must come before the first call into LibTorch, so a program whose tests ask for it
// has tests/harness/gpu_main.cc as its main().
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "core/cuda_driver.h"
#include "tensor/cuda_plugin.h"
#include "tensor/device.h"

namespace lockstep::harness {

// "" if there is a GPU and the plug-in is open.
inline std::string why_no_gpu() {
  if (cuda_driver().devices.empty()) return cuda_driver().problem;
  return cuda_plugin_is_open() ? "" : "the CUDA plug-in is not open";
}

}  // namespace lockstep::harness

// First line of a GPU test.
#define LOCKSTEP_NEEDS_GPU()                                                 \
  if (const std::string why = lockstep::harness::why_no_gpu(); !why.empty()) \
  GTEST_SKIP() << "no GPU: " << why
