// See swiglu_kernel.h. One thread takes a pack of 16 bytes; blocks walk the packs by grid strides.
#include "kernels/language/swiglu_kernel.h"

#include "tensor/device_cuda.h"

namespace lockstep::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostGrid = 132 * 16;  // enough to fill the largest GPU twice

struct At {
  int64_t input, output;  // first element of the pack
};
template <int N>
__device__ At place(const SwigluShape& shape, int64_t pack) {
  const int64_t packs = shape.columns / N;
  const int64_t row = pack / packs, column = (pack - row * packs) * N;
  return {row * shape.input_stride + column, row * shape.columns + column};
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(SwigluShape shape, const T* gate, const T* up, T* y) {
  const int64_t packs = shape.rows * (shape.columns / N);
  const int64_t stride = int64_t{gridDim.x} * blockDim.x;
  for (int64_t p = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; p < packs; p += stride) {
    const At at = place<N>(shape, p);
    float g[N], u[N];
    load_floats<N>(gate + at.input, g);
    load_floats<N>(up + at.input, u);
#pragma unroll
    for (int i = 0; i < N; ++i) g[i] = g[i] * sigmoid(g[i]) * u[i];
    store_floats<N>(g, y + at.output);
  }
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(SwigluShape shape, const T* gate, const T* up, const T* dy, T* dgate, T* dup) {
  const int64_t packs = shape.rows * (shape.columns / N);
  const int64_t stride = int64_t{gridDim.x} * blockDim.x;
  for (int64_t p = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; p < packs; p += stride) {
    const At at = place<N>(shape, p);
    float g[N], u[N], d[N];
    load_floats<N>(gate + at.input, g);
    load_floats<N>(up + at.input, u);
    load_floats<N>(dy + at.output, d);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float s = sigmoid(g[i]);
      const float by_up = d[i] * g[i] * s;
      g[i] = d[i] * u[i] * s * (1.0f + g[i] * (1.0f - s));
      u[i] = by_up;
    }
    store_floats<N>(g, dgate + at.input);
    store_floats<N>(u, dup + at.input);
  }
}

// Calls run.operator()<T, N>() with packs of 16 bytes where they fit, else of one element.
template <class Run, class... Pointers>
void with_packs(const SwigluShape& shape, const Run& run, Pointers... pointers) {
  with_type(shape.type, [&]<class T>() {
    constexpr int kPack = kPackOf<T>;
    packs_fit<T, kPack>(shape.columns | shape.input_stride, pointers...)
        ? run.template operator()<T, kPack>()
        : run.template operator()<T, 1>();
  });
}

}  // namespace

void swiglu_forward(const SwigluShape& shape, const void* gate, const void* up, void* y,
                    void* stream) {
  with_packs(
      shape,
      [&]<class T, int N>() {
        const unsigned blocks = blocks_for(shape.rows * (shape.columns / N), kThreads, kMostGrid);
        launch(forward_kernel<T, N>, blocks, kThreads, stream, shape, static_cast<const T*>(gate),
               static_cast<const T*>(up), static_cast<T*>(y));
      },
      gate, up, y);
}

void swiglu_backward(const SwigluShape& shape, const void* gate, const void* up, const void* dy,
                     void* dgate, void* dup, void* stream) {
  with_packs(
      shape,
      [&]<class T, int N>() {
        const unsigned blocks = blocks_for(shape.rows * (shape.columns / N), kThreads, kMostGrid);
        launch(backward_kernel<T, N>, blocks, kThreads, stream, shape, static_cast<const T*>(gate),
               static_cast<const T*>(up), static_cast<const T*>(dy), static_cast<T*>(dgate),
               static_cast<T*>(dup));
      },
      gate, up, dy, dgate, dup);
}

}  // namespace lockstep::cuda
