// The arithmetic of a sampler step on plain memory: each element in double, rounded once.
//
// Compiled for several instruction sets, of which the loader takes the machine's best: without
// fused multiply-adds all give the same bits.
#pragma once

#include <cstdint>

namespace lockstep {

// The numbers of one step (models/diffusion/samplers.h). Without clipping low and high are
// infinite.
struct SamplerWeights {
  double start_x, start_output, low, high;
  double x, start, output, previous, noise;
};

// Arrays of one length. `previous` may be `start` itself.
struct SamplerArrays {
  float* x;
  float* start;
  const float* output;
  const float* previous;  // null: none
  const float* noise;     // null: none
};

// start' = clip(start_x·x + start_output·o); x' = x·x + start·start' + output·o + previous·p +
// noise·z. NaN stays.
void sampler_loop(const SamplerWeights& weights, const SamplerArrays& arrays, int64_t count);

}  // namespace lockstep
