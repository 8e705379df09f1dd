// What all kernels share: launching, conversions to float32 and back, sums over a warp.
//
// Included by .cu files only. They compile twice: with nvcc, and as C++ against tests/emulation,
// which runs their blocks on the CPU; so they use no <<<…>>> and no dynamic shared memory.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <string>

#include "core/errors.h"
#include "core/float_type.h"

namespace lockstep::cuda {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffu;
inline constexpr int64_t kMostBlocks = 2'147'483'647;  // of a grid's first dimension
inline constexpr int64_t kMostImages = 65'535;         // of its second

// Throws EnvironmentError: a launch fails when the driver or the device does not fit this build.
inline void check_launch(cudaError_t result) {
  if (result != cudaSuccess)
    throw EnvironmentError(
        std::string("a CUDA kernel could not start: ") + cudaGetErrorString(result),
        "check the GPU and its driver with nvidia-smi; the kernels need compute capability 8.0");
}

// Starts kernel(arguments...) on blocks × threads. No blocks: nothing to do.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 blocks, int threads, void* stream,
            const Arguments&... arguments) {
  if (blocks.x == 0 || blocks.y == 0) return;
  cudaLaunchConfig_t config{};
  config.gridDim = blocks;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.stream = static_cast<cudaStream_t>(stream);
  check_launch(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...));
}

// Blocks for `items`, `per_block` each, at most `most`: kernels walk on by grid strides.
inline unsigned blocks_for(int64_t items, int64_t per_block, int64_t most = kMostBlocks) {
  const int64_t blocks = (items + per_block - 1) / per_block;
  return static_cast<unsigned>(blocks < most ? blocks : most);
}

// Calls fn.operator()<T>() with the C++ type of `type`.
template <class Fn>
void with_type(FloatType type, const Fn& fn) {
  switch (type) {
    case FloatType::kFloat32:
      return fn.template operator()<float>();
    case FloatType::kBfloat16:
      return fn.template operator()<__nv_bfloat16>();
    case FloatType::kFloat16:
      return fn.template operator()<__half>();
  }
}

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ inline float to_float(__half x) { return __half2float(x); }

template <class T>
__device__ T from_float(float x);
template <>
__device__ inline float from_float<float>(float x) {
  return x;
}
template <>
__device__ inline __nv_bfloat16 from_float<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}
template <>
__device__ inline __half from_float<__half>(float x) {
  return __float2half_rn(x);
}

// N elements that travel in one load: 16 bytes where rows and pointers allow it.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T values[N];
};
template <class T>
inline constexpr int kPackOf = 16 / static_cast<int>(sizeof(T));

template <int N, class T>
__device__ inline void load_floats(const T* from, float (&to)[N]) {
  const Pack<T, N> pack = *reinterpret_cast<const Pack<T, N>*>(from);
#pragma unroll
  for (int i = 0; i < N; ++i) to[i] = to_float(pack.values[i]);
}
template <int N, class T>
__device__ inline void store_floats(const float (&from)[N], T* to) {
  Pack<T, N> pack;
#pragma unroll
  for (int i = 0; i < N; ++i) pack.values[i] = from_float<T>(from[i]);
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

// May these addresses and row lengths (in elements of T) be read in packs of N?
template <class T, int N, class... Pointers>
bool packs_fit(int64_t row_lengths_or, Pointers... pointers) {
  const bool aligned = ((reinterpret_cast<uintptr_t>(pointers) % (sizeof(T) * N) == 0) && ...);
  return aligned && row_lengths_or % N == 0;
}

// Butterfly over the 32 lanes: the same bits in every lane.
__device__ inline float warp_sum(float x) {
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) x += __shfl_xor_sync(kAllLanes, x, step);
  return x;
}
__device__ inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

}  // namespace lockstep::cuda
