// One sampler step where the state lies, its numbers read from a table that lies there, too: what a
// recorded step of a sampler replays, on the GPU and on the CPU.
//
// The arithmetic is that of sampler_loops.h, each element in double without contraction and rounded
// once, so that a GPU gives the CPU's bits for the same network output and noise.
//
// Memory: reads x, output and, where the step wants them, the estimate of the step before and
// noise; writes x and start.
#pragma once

#include <cstdint>

namespace lockstep {

// A row of the table: start_x, start_output, low, high, x, start, output, previous, noise
// (models/diffusion/samplers.h; low and high are infinite without clipping), then the two ends of
// the learned log variance and 1 if the noise is weighted by it.
inline constexpr int64_t kSamplerNumbers = 12;

struct SamplerShape {
  int64_t images = 0, elements = 0;  // elements of one image's state
  int64_t output_elements =
      0;  // of its network output: as many, or twice with a learned variance behind
};

// Applies row *row of `table` [rows, kSamplerNumbers]. x, start, noise [images, elements], output
// [images, output_elements]: contiguous float32. `start` holds the estimate before and after.
// noise: null if no step wants any.
namespace cuda {
void sampler_step(const SamplerShape& shape, const double* table, const int64_t* row, float* x,
                  float* start, const float* output, const float* noise, void* stream);
}  // namespace cuda

namespace cpu {
void sampler_step(const SamplerShape& shape, const double* table, const int64_t* row, float* x,
                  float* start, const float* output, const float* noise, void* stream);
}  // namespace cpu

}  // namespace lockstep
