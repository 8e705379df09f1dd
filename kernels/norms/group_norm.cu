// See group_norm_kernel.h. Forward: sums of each channel over chunks of positions → statistics and
// z = a·x + b of each channel → one pass. Backward the same way, and last the sums over the batch.
#include "kernels/norms/group_norm_kernel.h"

#include "kernels/lanes/column_sums_cuda.h"
#include "tensor/device_cuda.h"

namespace lockstep::cuda {
namespace {

constexpr int kThreads = 256;

// What a channel of an image needs, in rows of the workspace: z = gain·x + bias; dx = gain·dz +
// slope·(x − mean) + offset.
enum Coefficient { kGain, kBias, kMean, kSlope, kOffset, kCoefficients };

struct Parts {
  ColumnChunks chunks;
  float *partial, *totals, *coefficients;  // [B][chunks][2][C], [B][2][C], [B][5][C]
};
Parts parts_of(const GroupNormShape& s, float* workspace) {
  const ColumnChunks chunks = column_chunks(s.batch, s.positions, s.channels);
  float* totals = workspace + s.batch * chunks.count * 2 * s.channels;
  return {chunks, workspace, totals, totals + s.batch * 2 * s.channels};
}

struct Affine {
  float gain, bias;
};
// n·(1 + scale) + shift with n = (x − mean)·rstd·gamma + beta, as one multiplication and addition.
__device__ Affine affine(const GroupNormShape& s, const GroupNormInputs& in, int64_t image,
                         int64_t c, float mean, float rstd) {
  const float gamma = in.gamma == nullptr ? 1.0f : in.gamma[c],
              beta = in.beta == nullptr ? 0.0f : in.beta[c];
  const float* condition =
      in.scale_shift == nullptr ? nullptr : in.scale_shift + image * 2 * s.channels;
  const float scale = condition == nullptr ? 1.0f : 1.0f + condition[c];
  const float gain = rstd * gamma * scale;
  return {gain,
          (beta * scale + (condition == nullptr ? 0.0f : condition[s.channels + c])) - mean * gain};
}

__device__ float through_silu(bool silu, float z, float dy) {
  if (!silu) return dy;
  const float s = sigmoid(z);
  return dy * s * (1.0f + z * (1.0f - s));
}

template <class T, int N>
__global__ void __launch_bounds__(kSumThreads)
    moments_kernel(GroupNormShape s, const T* x, Parts parts) {
  const SumsPlace at = sums_place<N>(s.channels);
  const T* image = x + at.image * s.positions * s.channels;
  float pivot[N] = {};
  if (at.column < s.channels)
    for (int i = 0; i < N; ++i)
      pivot[i] =
          to_float(image[(at.column + i) / (s.channels / s.groups) * (s.channels / s.groups)]);
  column_sums<N>(at, parts.chunks, s.positions, s.channels, parts.partial,
                 [&](int64_t row, float (&sum)[N], float (&square)[N]) {
                   float v[N];
                   load_floats<N>(image + row * s.channels + at.column, v);
#pragma unroll
                   for (int i = 0; i < N; ++i) {
                     const float d = v[i] - pivot[i];
                     sum[i] += d;
                     square[i] += d * d;
                   }
                 });
}

// One warp a group of an image.
template <class T>
__global__ void __launch_bounds__(kWarp)
    statistics_kernel(GroupNormShape s, GroupNormInputs in, Parts parts, float* statistics) {
  const int64_t group = blockIdx.x, image = blockIdx.y, width = (s.channels / s.groups);
  const float pivot =
      to_float(static_cast<const T*>(in.x)[image * s.positions * s.channels + group * width]);
  float sum = 0, square = 0;
  for (int64_t c = group * width + threadIdx.x; c < (group + 1) * width; c += kWarp) {
    sum += sum_chunks(parts.partial, parts.chunks, s.channels, image, 0, c);
    square += sum_chunks(parts.partial, parts.chunks, s.channels, image, 1, c);
  }
  const float count = static_cast<float>(s.positions * width);
  const float shift = warp_sum(sum) / count;
  const float variance = fmaxf(warp_sum(square) / count - shift * shift, 0.0f);
  const float mean = pivot + shift, rstd = 1.0f / sqrtf(variance + s.eps);
  if (threadIdx.x == 0) {
    statistics[(image * s.groups + group) * 2] = mean;
    statistics[(image * s.groups + group) * 2 + 1] = rstd;
  }
  float* coefficients = parts.coefficients + image * kCoefficients * s.channels;
  for (int64_t c = group * width + threadIdx.x; c < (group + 1) * width; c += kWarp) {
    const Affine a = affine(s, in, image, c, mean, rstd);
    coefficients[kGain * s.channels + c] = a.gain;
    coefficients[kBias * s.channels + c] = a.bias;
  }
}

// Walks the packs of image blockIdx.y: run(first element, coefficients of its first channel).
template <int N, class Run>
__device__ void for_packs(const GroupNormShape& s, const float* coefficients, const Run& run) {
  const unsigned packs = static_cast<unsigned>(s.channels / N);
  const uint64_t total = static_cast<uint64_t>(s.positions) * packs,
                 stride = uint64_t{gridDim.x} * blockDim.x;
  const float* mine = coefficients + int64_t{blockIdx.y} * kCoefficients * s.channels;
  for (uint64_t p = uint64_t{blockIdx.x} * blockDim.x + threadIdx.x; p < total; p += stride) {
    // 32-bit division where it will do: it is much shorter.
    const unsigned column =
        p >> 32 == 0 ? static_cast<unsigned>(p) % packs : static_cast<unsigned>(p % packs);
    run(int64_t{blockIdx.y} * s.positions * s.channels + static_cast<int64_t>(p) * N,
        mine + column * N);
  }
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    apply_kernel(GroupNormShape s, const T* x, const T* residual, const float* coefficients, T* y) {
  for_packs<N>(s, coefficients, [&](int64_t at, const float* c) {
    float v[N];
    load_floats<N>(x + at, v);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float z = v[i] * c[kGain * s.channels + i] + c[kBias * s.channels + i];
      v[i] = s.silu ? z * sigmoid(z) : z;
    }
    if (residual != nullptr) {
      float more[N];
      load_floats<N>(residual + at, more);
#pragma unroll
      for (int i = 0; i < N; ++i) v[i] += more[i];
    }
    store_floats<N>(v, y + at);
  });
}

// Σ dz and Σ dz·x̂ of each channel.
template <class T, int N>
__global__ void __launch_bounds__(kSumThreads)
    gradient_sums_kernel(GroupNormShape s, GroupNormInputs in, const float* statistics, const T* dy,
                         Parts parts) {
  const SumsPlace at = sums_place<N>(s.channels);
  const int64_t image = at.image * s.positions * s.channels;
  const T* x = static_cast<const T*>(in.x);
  float mean[N] = {}, rstd[N] = {};
  Affine a[N] = {};
  if (at.column < s.channels)
    for (int i = 0; i < N; ++i) {
      const float* group =
          statistics + (at.image * s.groups + (at.column + i) / (s.channels / s.groups)) * 2;
      mean[i] = group[0];
      rstd[i] = group[1];
      a[i] = affine(s, in, at.image, at.column + i, mean[i], rstd[i]);
    }
  column_sums<N>(at, parts.chunks, s.positions, s.channels, parts.partial,
                 [&](int64_t row, float (&plain)[N], float (&along)[N]) {
                   float v[N], d[N];
                   load_floats<N>(x + image + row * s.channels + at.column, v);
                   load_floats<N>(dy + image + row * s.channels + at.column, d);
#pragma unroll
                   for (int i = 0; i < N; ++i) {
                     const float dz = through_silu(s.silu, v[i] * a[i].gain + a[i].bias, d[i]);
                     plain[i] += dz;
                     along[i] += dz * ((v[i] - mean[i]) * rstd[i]);
                   }
                 });
}

// One warp a group of an image: totals, the coefficients of dx, and the gradients of scale and
// shift.
__global__ void __launch_bounds__(kWarp)
    gradient_totals_kernel(GroupNormShape s, GroupNormInputs in, const float* statistics,
                           Parts parts, float* d_scale_shift) {
  const int64_t group = blockIdx.x, image = blockIdx.y, width = (s.channels / s.groups),
                C = s.channels;
  const float mean = statistics[(image * s.groups + group) * 2],
              rstd = statistics[(image * s.groups + group) * 2 + 1];
  float *totals = parts.totals + image * 2 * C,
        *coefficients = parts.coefficients + image * kCoefficients * C;
  float plain = 0, along = 0;
  for (int64_t c = group * width + threadIdx.x; c < (group + 1) * width; c += kWarp) {
    const float p = sum_chunks(parts.partial, parts.chunks, C, image, 0, c),
                q = sum_chunks(parts.partial, parts.chunks, C, image, 1, c);
    const Affine a = affine(s, in, image, c, mean, rstd);
    totals[c] = p;
    totals[C + c] = q;
    plain += p * a.gain;
    along += q * a.gain;
    coefficients[kGain * C + c] = a.gain;
    coefficients[kBias * C + c] = a.bias;
    if (d_scale_shift == nullptr) continue;
    const float gamma = in.gamma == nullptr ? 1.0f : in.gamma[c],
                beta = in.beta == nullptr ? 0.0f : in.beta[c];
    d_scale_shift[image * 2 * C + c] = gamma * q + beta * p;
    d_scale_shift[image * 2 * C + C + c] = p;
  }
  const float count = static_cast<float>(s.positions * width);
  const float offset = -warp_sum(plain) / count, slope = -warp_sum(along) / count * rstd;
  for (int64_t c = group * width + threadIdx.x; c < (group + 1) * width; c += kWarp) {
    coefficients[kMean * C + c] = mean;
    coefficients[kSlope * C + c] = slope;
    coefficients[kOffset * C + c] = offset;
  }
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    dx_kernel(GroupNormShape s, const T* x, const T* dy, const float* coefficients, T* dx) {
  for_packs<N>(s, coefficients, [&](int64_t at, const float* c) {
    float v[N], d[N];
    load_floats<N>(x + at, v);
    load_floats<N>(dy + at, d);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float gain = c[kGain * s.channels + i];
      const float dz = through_silu(s.silu, v[i] * gain + c[kBias * s.channels + i], d[i]);
      d[i] = dz * gain + ((v[i] - c[kMean * s.channels + i]) * c[kSlope * s.channels + i] +
                          c[kOffset * s.channels + i]);
    }
    store_floats<N>(d, dx + at);
  });
}

// Over the batch, one thread a channel.
__global__ void __launch_bounds__(kThreads)
    parameters_kernel(GroupNormShape s, const float* scale_shift, const float* totals,
                      float* dgamma, float* dbeta) {
  const int64_t C = s.channels, c = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (c >= C) return;
  float gamma = 0, beta = 0;
  for (int64_t image = 0; image < s.batch; ++image) {
    const float scale = scale_shift == nullptr ? 1.0f : 1.0f + scale_shift[image * 2 * C + c];
    beta += scale * totals[image * 2 * C + c];
    gamma += scale * totals[image * 2 * C + C + c];
  }
  if (dgamma != nullptr) dgamma[c] = gamma;
  if (dbeta != nullptr) dbeta[c] = beta;
}

template <class Run, class... Pointers>
void with_packs(const GroupNormShape& s, const Run& run, Pointers... pointers) {
  if (s.batch > kMostImages) throw InternalError("group_norm on a GPU takes 65,535 images at most");
  if (s.batch * s.positions * s.channels == 0) return;
  with_type(s.type, [&]<class T>() {
    constexpr int kPack = kPackOf<T>;
    packs_fit<T, kPack>(s.channels, pointers...) ? run.template operator()<T, kPack>()
                                                 : run.template operator()<T, 1>();
  });
}

dim3 image_grid(const GroupNormShape& s, int pack) {
  const int64_t most = std::max<int64_t>(1, 132 * 32 / s.batch);
  return dim3(blocks_for(s.positions * s.channels / pack, kThreads, most),
              static_cast<unsigned>(s.batch));
}

}  // namespace

void group_norm_forward(const GroupNormShape& s, const GroupNormInputs& in, void* y,
                        float* statistics, float* workspace, void* stream) {
  const Parts parts = parts_of(s, workspace);
  with_packs(
      s,
      [&]<class T, int N>() {
        const T* x = static_cast<const T*>(in.x);
        const dim3 groups(static_cast<unsigned>(s.groups), static_cast<unsigned>(s.batch));
        launch(moments_kernel<T, N>, sums_grid(s.batch, parts.chunks, s.channels, N), kSumThreads,
               stream, s, x, parts);
        launch(statistics_kernel<T>, groups, kWarp, stream, s, in, parts, statistics);
        launch(apply_kernel<T, N>, image_grid(s, N), kThreads, stream, s, x,
               static_cast<const T*>(in.residual), parts.coefficients, static_cast<T*>(y));
      },
      in.x, in.residual, y);
}

void group_norm_backward(const GroupNormShape& s, const GroupNormInputs& in,
                         const float* statistics, const void* dy, const GroupNormGradients& out,
                         float* workspace, void* stream) {
  const Parts parts = parts_of(s, workspace);
  with_packs(
      s,
      [&]<class T, int N>() {
        const T *x = static_cast<const T*>(in.x), *d = static_cast<const T*>(dy);
        const dim3 groups(static_cast<unsigned>(s.groups), static_cast<unsigned>(s.batch));
        launch(gradient_sums_kernel<T, N>, sums_grid(s.batch, parts.chunks, s.channels, N),
               kSumThreads, stream, s, in, statistics, d, parts);
        launch(gradient_totals_kernel, groups, kWarp, stream, s, in, statistics, parts,
               out.d_scale_shift);
        launch(dx_kernel<T, N>, image_grid(s, N), kThreads, stream, s, x, d, parts.coefficients,
               static_cast<T*>(out.dx));
        launch(parameters_kernel, blocks_for(s.channels, kThreads), kThreads, stream, s,
               in.scale_shift, parts.totals, out.dgamma, out.dbeta);
      },
      in.x, dy, out.dx);
}

}  // namespace lockstep::cuda
