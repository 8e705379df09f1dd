// See channel_rows_kernel.h. A position belongs to as many lanes as its channels fill, at most a
// warp, so that narrow maps keep all lanes loading; it is read twice, the second time from the
// nearest cache.
#include "kernels/norms/channel_rows_kernel.h"

#include "kernels/lanes/column_sums_cuda.h"
#include "tensor/device_cuda.h"

namespace lockstep::cuda {
namespace {

constexpr int kThreads = 256;

struct Parts {
  ColumnChunks chunks;
  float *inverse, *partial, *totals;  // [B][positions], [B][chunks][2][C], [B][2][C]
};
Parts parts_of(const ChannelRowsShape& s, float* workspace) {
  const ColumnChunks chunks = column_chunks(s.batch, s.positions, s.channels);
  float* partial = workspace + s.batch * s.positions;
  return {chunks, workspace, partial, partial + s.batch * chunks.count * 2 * s.channels};
}

struct Affine {
  float gain, shift;
};
__device__ Affine affine(const ChannelRowsShape& s, const float* g, const float* scale_shift,
                         int64_t image, int64_t c) {
  if (scale_shift == nullptr) return {g[c], 0.0f};
  const float* condition = scale_shift + image * 2 * s.channels;
  return {g[c] * (condition[c] + 1.0f), condition[s.channels + c]};
}

// Over the lanes of a position: the same bits in each of them. All lanes of the warp call it.
__device__ float sum_of_lanes(float x, int lanes) {
  for (int step = lanes / 2; step > 0; step /= 2) x += __shfl_xor_sync(kAllLanes, x, step);
  return x;
}

// Which position a thread works on: all threads of a block take the same number of turns, those
// beyond the last position on the last one, without writing.
struct Turn {
  int64_t row, image;
  bool mine;
};
__device__ Turn turn_of(const ChannelRowsShape& s, int64_t first, int lanes) {
  const int64_t rows = s.batch * s.positions,
                wanted = first + threadIdx.x / static_cast<unsigned>(lanes);
  const int64_t row = wanted < rows ? wanted : rows - 1;
  return {row, row / s.positions, wanted < rows};
}

// √C / max(‖x‖, 1e-12) of a row, in each of its lanes.
template <class T, int N>
__device__ float inverse_length(const ChannelRowsShape& s, const T* row, int lane, int lanes) {
  float sum = 0;
  for (int64_t c = int64_t{lane} * N; c < s.channels; c += lanes * N) {
    float v[N];
    load_floats<N>(row + c, v);
#pragma unroll
    for (int i = 0; i < N; ++i) sum += v[i] * v[i];
  }
  return sqrtf(static_cast<float>(s.channels)) / fmaxf(sqrtf(sum_of_lanes(sum, lanes)), 1e-12f);
}

// dz of a channel: through SiLU.
__device__ float through_silu(bool silu, float z, float dy) {
  if (!silu) return dy;
  const float s = sigmoid(z);
  return dy * s * (1.0f + z * (1.0f - s));
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(ChannelRowsShape s, int lanes, const T* x, const float* g,
                   const float* scale_shift, T* y) {
  const int lane = static_cast<int>(threadIdx.x) % lanes, each = kThreads / lanes;
  const int64_t rows = s.batch * s.positions, stride = int64_t{gridDim.x} * each;
  for (int64_t first = int64_t{blockIdx.x} * each; first < rows; first += stride) {
    const auto [r, image, mine] = turn_of(s, first, lanes);
    const T* row = x + r * s.channels;
    const float inverse = inverse_length<T, N>(s, row, lane, lanes);
    if (!mine) continue;
    for (int64_t c = int64_t{lane} * N; c < s.channels; c += lanes * N) {
      float v[N];
      load_floats<N>(row + c, v);
#pragma unroll
      for (int i = 0; i < N; ++i) {
        const Affine a = affine(s, g, scale_shift, image, c + i);
        const float z = v[i] * inverse * a.gain + a.shift;
        v[i] = s.silu ? z * sigmoid(z) : z;
      }
      store_floats<N>(v, y + r * s.channels + c);
    }
  }
}

// dx = (t − u·(t·u)/C)·inverse with u = x·inverse, t = dz·gain, ‖u‖² = C. Keeps `inverse` for the
// sums.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    dx_kernel(ChannelRowsShape s, int lanes, const T* x, const float* g, const float* scale_shift,
              const T* dy, T* dx, float* inverses) {
  const int lane = static_cast<int>(threadIdx.x) % lanes, each = kThreads / lanes;
  const int64_t rows = s.batch * s.positions, stride = int64_t{gridDim.x} * each;
  for (int64_t first = int64_t{blockIdx.x} * each; first < rows; first += stride) {
    const auto [r, image, mine] = turn_of(s, first, lanes);
    const T *row = x + r * s.channels, *d_row = dy + r * s.channels;
    const float inverse = inverse_length<T, N>(s, row, lane, lanes);
    if (mine && lane == 0) inverses[r] = inverse;
    const auto through = [&](int64_t c, float (&u)[N], float (&t)[N]) {
      load_floats<N>(row + c, u);
      load_floats<N>(d_row + c, t);
#pragma unroll
      for (int i = 0; i < N; ++i) {
        const Affine a = affine(s, g, scale_shift, image, c + i);
        u[i] *= inverse;
        t[i] = through_silu(s.silu, u[i] * a.gain + a.shift, t[i]) * a.gain;
      }
    };
    float dot = 0, u[N], t[N];
    for (int64_t c = int64_t{lane} * N; c < s.channels; c += lanes * N) {
      through(c, u, t);
#pragma unroll
      for (int i = 0; i < N; ++i) dot += u[i] * t[i];
    }
    const float share = sum_of_lanes(dot, lanes) / static_cast<float>(s.channels);
    if (!mine) continue;
    for (int64_t c = int64_t{lane} * N; c < s.channels; c += lanes * N) {
      through(c, u, t);
#pragma unroll
      for (int i = 0; i < N; ++i) t[i] = (t[i] - u[i] * share) * inverse;
      store_floats<N>(t, dx + r * s.channels + c);
    }
  }
}

// Σ dz and Σ dz·u of each channel over a chunk of positions.
template <class T, int N>
__global__ void __launch_bounds__(kSumThreads)
    sums_kernel(ChannelRowsShape s, const T* x, const float* g, const float* scale_shift,
                const T* dy, Parts parts) {
  const SumsPlace at = sums_place<N>(s.channels);
  Affine a[N] = {};
  if (at.column < s.channels)
    for (int i = 0; i < N; ++i) a[i] = affine(s, g, scale_shift, at.image, at.column + i);
  column_sums<N>(at, parts.chunks, s.positions, s.channels, parts.partial,
                 [&](int64_t row, float (&plain)[N], float (&along)[N]) {
                   const int64_t r = at.image * s.positions + row;
                   const float inverse = parts.inverse[r];
                   float u[N], d[N];
                   load_floats<N>(x + r * s.channels + at.column, u);
                   load_floats<N>(dy + r * s.channels + at.column, d);
#pragma unroll
                   for (int i = 0; i < N; ++i) {
                     u[i] *= inverse;
                     const float dz = through_silu(s.silu, u[i] * a[i].gain + a[i].shift, d[i]);
                     plain[i] += dz;
                     along[i] += dz * u[i];
                   }
                 });
}

// One thread a channel: over the chunks of each image, then over the batch.
__global__ void __launch_bounds__(kThreads)
    parameters_kernel(ChannelRowsShape s, const float* g, const float* scale_shift, Parts parts,
                      float* dg, float* d_scale_shift) {
  const int64_t C = s.channels, c = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (c >= C) return;
  float gain = 0;
  for (int64_t image = 0; image < s.batch; ++image) {
    const float along = sum_chunks(parts.partial, parts.chunks, C, image, 1, c);
    gain += scale_shift == nullptr ? along : along * (scale_shift[image * 2 * C + c] + 1.0f);
    if (d_scale_shift == nullptr) continue;
    d_scale_shift[image * 2 * C + c] = along * g[c];
    d_scale_shift[image * 2 * C + C + c] = sum_chunks(parts.partial, parts.chunks, C, image, 0, c);
  }
  dg[c] = gain;
}

template <class Run, class... Pointers>
void with_packs(const ChannelRowsShape& s, const Run& run, Pointers... pointers) {
  if (s.batch > kMostImages)
    throw InternalError("channel_rows on a GPU takes 65,535 images at most");
  if (s.batch * s.positions * s.channels == 0) return;
  with_type(s.type, [&]<class T>() {
    constexpr int kPack = kPackOf<T>;
    packs_fit<T, kPack>(s.channels, pointers...) ? run.template operator()<T, kPack>()
                                                 : run.template operator()<T, 1>();
  });
}

}  // namespace

void channel_rows_forward(const ChannelRowsShape& s, const void* x, const float* g,
                          const float* scale_shift, void* y, void* stream) {
  with_packs(
      s,
      [&]<class T, int N>() {
        const int lanes = lanes_of_row(s.channels, N);
        launch(forward_kernel<T, N>, blocks_for(s.batch * s.positions, kThreads / lanes, 132 * 32),
               kThreads, stream, s, lanes, static_cast<const T*>(x), g, scale_shift,
               static_cast<T*>(y));
      },
      x, y);
}

void channel_rows_backward(const ChannelRowsShape& s, const void* x, const float* g,
                           const float* scale_shift, const void* dy, void* dx, float* dg,
                           float* d_scale_shift, float* workspace, void* stream) {
  const Parts parts = parts_of(s, workspace);
  with_packs(
      s,
      [&]<class T, int N>() {
        const T *from = static_cast<const T*>(x), *d = static_cast<const T*>(dy);
        const int lanes = lanes_of_row(s.channels, N);
        launch(dx_kernel<T, N>, blocks_for(s.batch * s.positions, kThreads / lanes, 132 * 32),
               kThreads, stream, s, lanes, from, g, scale_shift, d, static_cast<T*>(dx),
               parts.inverse);
        launch(sums_kernel<T, N>, sums_grid(s.batch, parts.chunks, s.channels, N), kSumThreads,
               stream, s, from, g, scale_shift, d, parts);
        launch(parameters_kernel, blocks_for(s.channels, kThreads), kThreads, stream, s, g,
               scale_shift, parts, dg, d_scale_shift);
      },
      x, dy, dx);
}

}  // namespace lockstep::cuda
