// See sampler_kernel.h. Compiled without contraction. One thread takes four neighbours at a time
// where addresses allow it.
#include "kernels/sampler_kernel.h"

#include "tensor/device_cuda.h"

namespace lockstep::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostGrid = 132 * 16;

struct Numbers {
  double start_x, start_output, low, high, x, start, output, previous, noise, log_low, log_high,
      learned;
};
static_assert(sizeof(Numbers) == kSamplerNumbers * sizeof(double));

// x and start in, x and start out; `word` is the network's of the variance.
__device__ void apply(const Numbers& w, float& x, float& start, float output, float word,
                      float noise) {
  const double old = x, out = output;
  double s = w.start_x * old + w.start_output * out;
  s = s < w.low ? w.low : s;
  s = s > w.high ? w.high : s;
  double sum = w.x * old + w.start * s + w.output * out;
  if (w.previous != 0) sum += w.previous * start;
  if (w.noise != 0) {
    if (w.learned != 0) {
      const double share = (static_cast<double>(word) + 1) * 0.5;
      const double log_variance = share * w.log_high + (1 - share) * w.log_low;
      sum += static_cast<float>(exp(log_variance * 0.5) * noise);
    } else {
      sum += w.noise * noise;
    }
  }
  start = static_cast<float>(s);
  x = static_cast<float>(sum);
}

template <int N>
__global__ void __launch_bounds__(kThreads)
    step_kernel(SamplerShape shape, const double* table, const int64_t* row, float* x, float* start,
                const float* output, const float* noise) {
  const Numbers w = reinterpret_cast<const Numbers*>(table)[*row];
  const bool learned = w.learned != 0 && w.noise != 0, noisy = w.noise != 0;
  const int64_t packs = shape.elements / N, total = shape.images * packs,
                stride = int64_t{gridDim.x} * kThreads;
  for (int64_t p = int64_t{blockIdx.x} * kThreads + threadIdx.x; p < total; p += stride) {
    const int64_t image = p / packs, element = (p - image * packs) * N;
    const int64_t at = image * shape.elements + element,
                  out_at = image * shape.output_elements + element;
    float xs[N], starts[N], outputs[N], words[N] = {}, noises[N] = {};
    load_floats<N>(x + at, xs);
    load_floats<N>(start + at, starts);
    load_floats<N>(output + out_at, outputs);
    if (learned) load_floats<N>(output + out_at + shape.elements, words);
    if (noisy) load_floats<N>(noise + at, noises);
#pragma unroll
    for (int i = 0; i < N; ++i) apply(w, xs[i], starts[i], outputs[i], words[i], noises[i]);
    store_floats<N>(starts, start + at);
    store_floats<N>(xs, x + at);
  }
}

}  // namespace

void sampler_step(const SamplerShape& shape, const double* table, const int64_t* row, float* x,
                  float* start, const float* output, const float* noise, void* stream) {
  constexpr int kPack = kPackOf<float>;
  const bool packs =
      packs_fit<float, kPack>(shape.elements | shape.output_elements, x, start, output, noise);
  const unsigned blocks =
      blocks_for(shape.images * shape.elements / (packs ? kPack : 1), kThreads, kMostGrid);
  launch(packs ? step_kernel<kPack> : step_kernel<1>, blocks, kThreads, stream, shape, table, row,
         x, start, output, noise);
}

}  // namespace lockstep::cuda
