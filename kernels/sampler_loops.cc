#include "kernels/sampler_loops.h"

#include "core/clones.h"

namespace lockstep {
namespace {

// Blocks let the compiler know that what it reads was read before it writes: previous may be start.
constexpr int64_t kBlock = 64;

template <bool kPrevious, bool kNoise>
[[gnu::always_inline]] inline void block(const SamplerWeights& w, const SamplerArrays& p,
                                         int64_t first, int64_t count) {
  float next[kBlock], estimate[kBlock];
  for (int64_t i = 0; i < count; ++i) {
    const double x = p.x[first + i], output = p.output[first + i];
    double start = w.start_x * x + w.start_output * output;
    start = start < w.low ? w.low : start;
    start = start > w.high ? w.high : start;
    double sum = w.x * x + w.start * start + w.output * output;
    if constexpr (kPrevious) sum += w.previous * p.previous[first + i];
    if constexpr (kNoise) sum += w.noise * p.noise[first + i];
    estimate[i] = static_cast<float>(start);
    next[i] = static_cast<float>(sum);
  }
  for (int64_t i = 0; i < count; ++i) p.start[first + i] = estimate[i];
  for (int64_t i = 0; i < count; ++i) p.x[first + i] = next[i];
}

template <bool kPrevious, bool kNoise>
[[gnu::always_inline]] inline void all(const SamplerWeights& w, const SamplerArrays& p,
                                       int64_t count) {
  int64_t first = 0;
  for (; first + kBlock <= count; first += kBlock) block<kPrevious, kNoise>(w, p, first, kBlock);
  block<kPrevious, kNoise>(w, p, first, count - first);
}

}  // namespace

LOCKSTEP_CLONES void sampler_loop(const SamplerWeights& w, const SamplerArrays& p, int64_t count) {
  if (p.previous != nullptr && p.noise != nullptr)
    all<true, true>(w, p, count);
  else if (p.previous != nullptr)
    all<true, false>(w, p, count);
  else if (p.noise != nullptr)
    all<false, true>(w, p, count);
  else
    all<false, false>(w, p, count);
}

}  // namespace lockstep
