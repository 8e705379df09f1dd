// See rotary_kernel.h. One warp a head of a token; it reads the head twice, the second time from
// the nearest cache.
#include "kernels/language/rotary_kernel.h"

#include "tensor/device_cuda.h"

namespace lockstep::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / kWarp;

struct Head {
  int64_t x, y;  // first element
  const float *cosine, *sine;
};
__device__ Head head_of(const RotaryShape& s, int64_t number, const float* cosines,
                        const float* sines, const int32_t* positions) {
  const int64_t token = number / s.heads, head = number - token * s.heads;
  const int64_t position = positions == nullptr ? token % s.sequence : positions[token];
  const int64_t row = position * (s.head_size / 2);
  return {token * s.x_stride + head * s.head_size, number * s.head_size, cosines + row,
          sines + row};
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(RotaryShape s, const T* x, const float* cosines, const float* sines,
                   const int32_t* positions, T* y, float* rstds) {
  const int lane = threadIdx.x % kWarp;
  const int64_t half = s.head_size / 2, stride = int64_t{gridDim.x} * kWarps;
  for (int64_t n = int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp; n < s.tokens * s.heads;
       n += stride) {
    const Head head = head_of(s, n, cosines, sines, positions);
    const auto rotated = [&](int64_t i, float (&a)[N], float (&b)[N]) {
      load_floats<N>(x + head.x + i, a);
      load_floats<N>(x + head.x + half + i, b);
#pragma unroll
      for (int k = 0; k < N; ++k) {
        const float c = head.cosine[i + k], t = head.sine[i + k], first = a[k];
        a[k] = first * c + b[k] * t;
        b[k] = b[k] * c - first * t;
      }
    };
    float rstd = 1.0f, a[N], b[N];
    if (s.normalize) {  // of what was turned: a rounded table does not quite keep lengths
      float sum = 0;
      for (int64_t i = int64_t{lane} * N; i < half; i += kWarp * N) {
        rotated(i, a, b);
#pragma unroll
        for (int k = 0; k < N; ++k) sum += a[k] * a[k] + b[k] * b[k];
      }
      rstd = 1.0f / sqrtf(warp_sum(sum) / static_cast<float>(s.head_size) + s.eps);
      if (lane == 0) rstds[n] = rstd;
    }
    for (int64_t i = int64_t{lane} * N; i < half; i += kWarp * N) {
      rotated(i, a, b);
#pragma unroll
      for (int k = 0; k < N; ++k) {
        a[k] *= rstd;
        b[k] *= rstd;
      }
      store_floats<N>(a, y + head.y + i);
      store_floats<N>(b, y + head.y + half + i);
    }
  }
}

// dr = rstd·(dy − y·mean(dy·y)); dx is dr turned back.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(RotaryShape s, const T* y, const float* rstds, const float* cosines,
                    const float* sines, const int32_t* positions, const T* dy, T* dx) {
  const int lane = threadIdx.x % kWarp;
  const int64_t half = s.head_size / 2, stride = int64_t{gridDim.x} * kWarps;
  for (int64_t n = int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp; n < s.tokens * s.heads;
       n += stride) {
    const Head head = head_of(s, n, cosines, sines, positions);
    float rstd = 1.0f, share = 0.0f;
    if (s.normalize) {
      float sum = 0;
      for (int64_t i = int64_t{lane} * N; i < s.head_size; i += kWarp * N) {
        float v[N], d[N];
        load_floats<N>(y + head.y + i, v);
        load_floats<N>(dy + head.y + i, d);
#pragma unroll
        for (int k = 0; k < N; ++k) sum += v[k] * d[k];
      }
      share = warp_sum(sum) / static_cast<float>(s.head_size);
      rstd = rstds[n];
    }
    for (int64_t i = int64_t{lane} * N; i < half; i += kWarp * N) {
      float a[N], b[N], da[N], db[N];
      load_floats<N>(dy + head.y + i, da);
      load_floats<N>(dy + head.y + half + i, db);
      if (s.normalize) {
        load_floats<N>(y + head.y + i, a);
        load_floats<N>(y + head.y + half + i, b);
#pragma unroll
        for (int k = 0; k < N; ++k) {
          da[k] = rstd * (da[k] - a[k] * share);
          db[k] = rstd * (db[k] - b[k] * share);
        }
      }
#pragma unroll
      for (int k = 0; k < N; ++k) {
        const float c = head.cosine[i + k], t = head.sine[i + k], first = da[k];
        da[k] = first * c - db[k] * t;
        db[k] = db[k] * c + first * t;
      }
      store_floats<N>(da, dx + head.x + i);
      store_floats<N>(db, dx + head.x + half + i);
    }
  }
}

template <class Run, class... Pointers>
void with_packs(const RotaryShape& s, const Run& run, Pointers... pointers) {
  if (s.head_size % 2 != 0) throw InternalError("rotary positions need an even head size");
  if (s.head_size == 0) return;
  with_type(s.type, [&]<class T>() {
    // Heads are short (64 to 128): small packs keep more lanes busy.
    constexpr int kPack = 2;
    packs_fit<T, kPack>((s.head_size / 2) | s.x_stride, pointers...)
        ? run.template operator()<T, kPack>()
        : run.template operator()<T, 1>();
  });
}

}  // namespace

void rotary_forward(const RotaryShape& s, const void* x, const float* cosines, const float* sines,
                    const int32_t* positions, void* y, float* rstd, void* stream) {
  with_packs(
      s,
      [&]<class T, int N>() {
        launch(forward_kernel<T, N>, blocks_for(s.tokens * s.heads, kWarps, 132 * 64), kThreads,
               stream, s, static_cast<const T*>(x), cosines, sines, positions, static_cast<T*>(y),
               rstd);
      },
      x, y);
}

void rotary_backward(const RotaryShape& s, const void* y, const float* rstd, const float* cosines,
                     const float* sines, const int32_t* positions, const void* dy, void* dx,
                     void* stream) {
  with_packs(
      s,
      [&]<class T, int N>() {
        launch(backward_kernel<T, N>, blocks_for(s.tokens * s.heads, kWarps, 132 * 64), kThreads,
               stream, s, static_cast<const T*>(y), rstd, cosines, sines, positions,
               static_cast<const T*>(dy), static_cast<T*>(dx));
      },
      y, dy, dx);
}

}  // namespace lockstep::cuda
