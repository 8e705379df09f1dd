// See cross_entropy_kernel.h. One block a row.
#include "kernels/language/cross_entropy_kernel.h"

#include "tensor/device_cuda.h"

namespace lockstep::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / kWarp;

__device__ float capped(float logit, float cap) {
  return cap == 0.0f ? logit : cap * tanhf(logit / cap);
}

// A running maximum and Σ e^(z − maximum).
struct Softmax {
  float maximum = -INFINITY, sum = 0.0f;
};
__device__ Softmax merged(const Softmax& a, const Softmax& b) {
  const float maximum = fmaxf(a.maximum, b.maximum);
  if (maximum == -INFINITY) return a;  // neither has seen anything
  return {maximum, a.sum * expf(a.maximum - maximum) + b.sum * expf(b.maximum - maximum)};
}
__device__ Softmax warp_merged(Softmax mine) {
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) {
    const Softmax other{__shfl_xor_sync(kAllLanes, mine.maximum, step),
                        __shfl_xor_sync(kAllLanes, mine.sum, step)};
    mine = merged(mine, other);
  }
  return mine;
}

template <class T, int N>
__device__ Softmax of_row(const CrossEntropyShape& s, const T* row) {
  Softmax mine;
  for (int64_t c = int64_t{threadIdx.x} * N; c < s.vocabulary; c += kThreads * N) {
    float z[N], maximum = mine.maximum;
    load_floats<N>(row + c, z);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      z[i] = capped(z[i], s.cap);
      maximum = fmaxf(maximum, z[i]);
    }
    const float reference = maximum == -INFINITY ? 0.0f : maximum;  // a pack of −∞ adds nothing
    mine.sum *= expf(mine.maximum - reference);
#pragma unroll
    for (int i = 0; i < N; ++i) mine.sum += expf(z[i] - reference);
    mine.maximum = maximum;
  }
  return mine;
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(CrossEntropyShape s, const T* logits, const int64_t* targets, float* losses,
                   float* log_sums) {
  __shared__ float maxima[kWarps], sums[kWarps];
  for (int64_t r = blockIdx.x; r < s.rows; r += gridDim.x) {
    const int64_t target = targets[r];
    const T* row = logits + r * s.row_stride;
    if (target == kIgnoredTarget) {  // the whole block
      if (threadIdx.x == 0) losses[r] = log_sums[r] = 0.0f;
      continue;
    }
    const Softmax mine = warp_merged(of_row<T, N>(s, row));
    if (threadIdx.x % kWarp == 0) {
      maxima[threadIdx.x / kWarp] = mine.maximum;
      sums[threadIdx.x / kWarp] = mine.sum;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      Softmax all;
      for (int w = 0; w < kWarps; ++w) all = merged(all, {maxima[w], sums[w]});
      const float log_sum = all.maximum + logf(all.sum);
      const bool word = target >= 0 && target < s.vocabulary;
      log_sums[r] = log_sum;
      losses[r] = word ? log_sum - capped(to_float(row[target]), s.cap) : NAN;
    }
    __syncthreads();  // before the next row's sums
  }
}

// dlogits may be logits: each thread writes what it alone has read.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(CrossEntropyShape s, const T* logits, const int64_t* targets,
                    const float* log_sums, const float* d_losses, T* dlogits) {
  for (int64_t r = blockIdx.x; r < s.rows; r += gridDim.x) {
    const int64_t target = targets[r];
    const bool word = target >= 0 && target < s.vocabulary;
    const float factor = target == kIgnoredTarget ? 0.0f
                         : word                   ? d_losses[r]
                                                  : NAN,
                log_sum = log_sums[r];
    const T* row = logits + r * s.row_stride;
    T* to = dlogits + r * s.row_stride;
    for (int64_t c = int64_t{threadIdx.x} * N; c < s.vocabulary; c += kThreads * N) {
      float z[N];
      if (target == kIgnoredTarget) {
        for (int i = 0; i < N; ++i) z[i] = 0.0f;  // whatever the logits are
        store_floats<N>(z, to + c);
        continue;
      }
      load_floats<N>(row + c, z);
#pragma unroll
      for (int i = 0; i < N; ++i) {
        const float t = s.cap == 0.0f ? 0.0f : tanhf(z[i] / s.cap);
        const float probability = expf((s.cap == 0.0f ? z[i] : s.cap * t) - log_sum);
        z[i] = factor * (probability - (c + i == target ? 1.0f : 0.0f)) * (1.0f - t * t);
      }
      store_floats<N>(z, to + c);
    }
  }
}

template <class Run, class... Pointers>
void with_packs(const CrossEntropyShape& s, const Run& run, Pointers... pointers) {
  with_type(s.type, [&]<class T>() {
    constexpr int kPack = kPackOf<T>;
    packs_fit<T, kPack>(s.vocabulary | s.row_stride, pointers...)
        ? run.template operator()<T, kPack>()
        : run.template operator()<T, 1>();
  });
}

}  // namespace

void cross_entropy_forward(const CrossEntropyShape& s, const void* logits, const int64_t* targets,
                           float* losses, float* log_sums, void* stream) {
  with_packs(
      s,
      [&]<class T, int N>() {
        launch(forward_kernel<T, N>, blocks_for(s.rows, 1, 132 * 64), kThreads, stream, s,
               static_cast<const T*>(logits), targets, losses, log_sums);
      },
      logits);
}

void cross_entropy_backward(const CrossEntropyShape& s, const void* logits, const int64_t* targets,
                            const float* log_sums, const float* d_losses, void* dlogits,
                            void* stream) {
  with_packs(
      s,
      [&]<class T, int N>() {
        launch(backward_kernel<T, N>, blocks_for(s.rows, 1, 132 * 64), kThreads, stream, s,
               static_cast<const T*>(logits), targets, log_sums, d_losses,
               static_cast<T*>(dlogits));
      },
      logits, dlogits);
}

}  // namespace lockstep::cuda
