// Stands in for CUDA's header of that name where the emulated plug-in asks for streams and devices
// (tests/emulation/gpu); kernels include cuda_runtime.h.
#pragma once

#include "tests/emulation/gpu/memory.h"
#include "tests/emulation/gpu/timeline.h"

enum cudaError_t { cudaSuccess = 0 };
using cudaStream_t = struct CUstream_st*;

inline cudaError_t cudaSetDevice(int device) { return emulation::set_device(device), cudaSuccess; }
inline cudaError_t cudaDeviceSynchronize() { return emulation::host_waits_for_all(), cudaSuccess; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
