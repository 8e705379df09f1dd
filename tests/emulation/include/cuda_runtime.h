// Stands in for CUDA's header of that name: .cu files compile as C++ and their blocks run on the
// CPU.
//
// One block at a time, its threads as fibers (machine.h) that change at __syncthreads and at warp
// operations. What goes wrong on a GPU goes wrong loudly here: a barrier that not all threads
// reach, a shuffle without its whole warp, reads beyond an allocation (a guard page), unaligned
// packs (the sanitizer), shared memory read before it is written and fresh allocations (both NaN),
// and missing barriers (threads run in several orders; results must agree).
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tests/emulation/machine.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__ __restrict
#define __shared__ static __attribute__((section("emulated_shared")))

using dim3 = emulation::Dim3;
using emulation::blockDim;
using emulation::blockIdx;
using emulation::gridDim;
using emulation::threadIdx;

enum cudaError_t { cudaSuccess = 0, cudaErrorMemoryAllocation = 2, cudaErrorNoDevice = 100 };
enum cudaMemcpyKind {
  cudaMemcpyHostToDevice = 1,
  cudaMemcpyDeviceToHost = 2,
  cudaMemcpyDeviceToDevice = 3
};
using cudaStream_t = struct CUstream_st*;

inline const char* cudaGetErrorString(cudaError_t) { return "emulated error"; }
inline cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
inline cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  return *pointer = emulation::allocate(bytes), cudaSuccess;
}
inline cudaError_t cudaFree(void* pointer) { return emulation::release(pointer), cudaSuccess; }
inline cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind) {
  return std::memcpy(to, from, bytes), cudaSuccess;
}
inline cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments... arguments) {
  emulation::Launch launch{
      config->stream,
      {},
      {},
      {},
      [grid = config->gridDim, block = config->blockDim, kernel, arguments...] {
        emulation::run(grid, block, [&] { kernel(arguments...); });
      }};
  (emulation::note_pointers(launch, arguments), ...);
  emulation::submit(launch);
  return cudaSuccess;
}

inline void __syncthreads() { emulation::block_barrier(); }
inline void __syncwarp(unsigned = 0xffffffffu) { emulation::warp_barrier(); }
inline void __threadfence() {}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int step) {
  return emulation::exchange(mask, value, emulation::lane() ^ step);
}
template <class T>
T __shfl_sync(unsigned mask, T value, int lane) {
  return emulation::exchange(mask, value, lane);
}

inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((uint64_t{a} * b) >> 32);
}
