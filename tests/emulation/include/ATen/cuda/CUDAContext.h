// Stands in for LibTorch's header of that name (tests/emulation/gpu).
#pragma once

#include <ATen/Context.h>
#include <c10/cuda/CUDAStream.h>

#include "tests/emulation/gpu/memory.h"

struct cudaDeviceProp {
  const char* name = "emulated GPU";
  size_t totalGlobalMem = 0;
  int major = 9, minor = 0, multiProcessorCount = 1;
};

namespace at::cuda {

inline int device_count() { return emulation::device_count(); }
inline const cudaDeviceProp* getDeviceProperties(c10::DeviceIndex) {
  static cudaDeviceProp properties;
  properties.totalGlobalMem = static_cast<size_t>(emulation::memory_use().total);
  return &properties;
}

}  // namespace at::cuda
