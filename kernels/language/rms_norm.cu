// See rms_norm_kernel.h. One warp a row; it reads its row twice, the second time from the nearest
// cache.
#include "kernels/language/rms_norm_kernel.h"

#include "kernels/lanes/column_sums_cuda.h"
#include "tensor/device_cuda.h"

namespace lockstep::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / kWarp;

// Multiplies by the weight, if there is one.
template <int N>
__device__ void weigh(const float* weight, int64_t c, float (&v)[N]) {
  if (weight == nullptr) return;
#pragma unroll
  for (int i = 0; i < N; ++i) v[i] *= weight[c + i];
}

// h = x + residual for the pack at `at`; rounded to T, and written, if there is a residual.
template <class T, int N>
__device__ void add_residual(const T* x, const T* residual, T* h, int64_t at, float (&v)[N]) {
  load_floats<N>(x + at, v);
  if (residual == nullptr) return;
  float r[N];
  load_floats<N>(residual + at, r);
#pragma unroll
  for (int i = 0; i < N; ++i) v[i] = to_float(from_float<T>(v[i] + r[i]));
  store_floats<N>(v, h + at);
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(RmsNormShape s, const T* x, const T* residual, const float* weight, T* h, T* y,
                   float* rstds) {
  const int lane = threadIdx.x % kWarp;
  const int64_t stride = int64_t{gridDim.x} * kWarps;
  for (int64_t r = int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp; r < s.rows; r += stride) {
    const int64_t row = r * s.columns;
    float sum = 0, v[N];
    for (int64_t c = int64_t{lane} * N; c < s.columns; c += kWarp * N) {
      add_residual<T, N>(x, residual, h, row + c, v);
#pragma unroll
      for (int i = 0; i < N; ++i) sum += v[i] * v[i];
    }
    const float rstd = 1.0f / sqrtf(warp_sum(sum) / static_cast<float>(s.columns) + s.eps);
    if (lane == 0) rstds[r] = rstd;
    const T* from = residual == nullptr ? x : h;  // each lane reads what it wrote
    for (int64_t c = int64_t{lane} * N; c < s.columns; c += kWarp * N) {
      load_floats<N>(from + row + c, v);
#pragma unroll
      for (int i = 0; i < N; ++i) v[i] *= rstd;
      weigh<N>(weight, c, v);
      store_floats<N>(v, y + row + c);
    }
  }
}

// dx = rstd·(t − h·rstd²·mean(t·h)) + dh with t = dy·w.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    dx_kernel(RmsNormShape s, const T* h, const float* weight, const float* rstds, const T* dy,
              const T* dh, T* dx) {
  const int lane = threadIdx.x % kWarp;
  const int64_t stride = int64_t{gridDim.x} * kWarps;
  for (int64_t r = int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp; r < s.rows; r += stride) {
    const int64_t row = r * s.columns;
    const float rstd = rstds[r];
    float dot = 0, v[N], t[N];
    for (int64_t c = int64_t{lane} * N; c < s.columns; c += kWarp * N) {
      load_floats<N>(h + row + c, v);
      load_floats<N>(dy + row + c, t);
      weigh<N>(weight, c, t);
#pragma unroll
      for (int i = 0; i < N; ++i) dot += v[i] * t[i];
    }
    const float share = warp_sum(dot) / static_cast<float>(s.columns) * rstd * rstd;
    for (int64_t c = int64_t{lane} * N; c < s.columns; c += kWarp * N) {
      load_floats<N>(h + row + c, v);
      load_floats<N>(dy + row + c, t);
      weigh<N>(weight, c, t);
#pragma unroll
      for (int i = 0; i < N; ++i) t[i] = rstd * (t[i] - v[i] * share);
      if (dh != nullptr) {
        load_floats<N>(dh + row + c, v);
#pragma unroll
        for (int i = 0; i < N; ++i) t[i] += v[i];
      }
      store_floats<N>(t, dx + row + c);
    }
  }
}

// Σ dy·h·rstd of each column over a chunk of rows.
template <class T, int N>
__global__ void __launch_bounds__(kSumThreads)
    weight_sums_kernel(RmsNormShape s, const T* h, const float* rstds, const T* dy,
                       ColumnChunks chunks, float* partial) {
  const SumsPlace at = sums_place<N>(s.columns);
  column_sums<N>(at, chunks, s.rows, s.columns, partial,
                 [&](int64_t row, float (&sum)[N], float (&)[N]) {
                   const float rstd = rstds[row];
                   float v[N], d[N];
                   load_floats<N>(h + row * s.columns + at.column, v);
                   load_floats<N>(dy + row * s.columns + at.column, d);
#pragma unroll
                   for (int i = 0; i < N; ++i) sum[i] += d[i] * (v[i] * rstd);
                 });
}

__global__ void __launch_bounds__(kThreads)
    weight_kernel(int64_t columns, ColumnChunks chunks, const float* partial, float* dw) {
  const int64_t c = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (c < columns) dw[c] = sum_chunks(partial, chunks, columns, 0, 0, c);
}

template <class Run, class... Pointers>
void with_packs(const RmsNormShape& s, const Run& run, Pointers... pointers) {
  with_type(s.type, [&]<class T>() {
    constexpr int kPack = kPackOf<T>;
    packs_fit<T, kPack>(s.columns, pointers...) ? run.template operator()<T, kPack>()
                                                : run.template operator()<T, 1>();
  });
}

}  // namespace

void rms_norm_forward(const RmsNormShape& s, const void* x, const void* residual,
                      const float* weight, void* h, void* y, float* rstd, void* stream) {
  if (s.columns == 0) return;
  with_packs(
      s,
      [&]<class T, int N>() {
        launch(forward_kernel<T, N>, blocks_for(s.rows, kWarps, 132 * 32), kThreads, stream, s,
               static_cast<const T*>(x), static_cast<const T*>(residual), weight,
               static_cast<T*>(h), static_cast<T*>(y), rstd);
      },
      x, residual, h, y);
}

void rms_norm_backward(const RmsNormShape& s, const void* h, const float* weight, const float* rstd,
                       const void* dy, const void* dh, void* dx, float* dw, float* workspace,
                       void* stream) {
  if (s.columns == 0) return;
  with_packs(
      s,
      [&]<class T, int N>() {
        const T *from = static_cast<const T*>(h), *d = static_cast<const T*>(dy);
        launch(dx_kernel<T, N>, blocks_for(s.rows, kWarps, 132 * 32), kThreads, stream, s, from,
               weight, rstd, d, static_cast<const T*>(dh), static_cast<T*>(dx));
        if (dw == nullptr) return;
        const ColumnChunks chunks = column_chunks(1, s.rows, s.columns);
        launch(weight_sums_kernel<T, N>, sums_grid(1, chunks, s.columns, N), kSumThreads, stream, s,
               from, rstd, d, chunks, workspace);
        launch(weight_kernel, blocks_for(s.columns, kThreads), kThreads, stream, s.columns, chunks,
               workspace, dw);
      },
      h, dy, dh, dx);
}

}  // namespace lockstep::cuda
