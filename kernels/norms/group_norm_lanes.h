// The CPU kernel behind group_norm_silu.h, one instance for each instruction set; they give equal
// bits.
#pragma once

#include <cstdint>

namespace lockstep {

// x [images, positions, channels], dense. channels is a multiple of kLaneChannels, groups divides
// channels.
inline constexpr int64_t kLaneChannels = 16;
struct GroupNormLanesShape {
  int64_t images = 0, positions = 0, channels = 0, groups = 1;
  float eps = 1e-5f;
  int64_t workspace() const { return 7 * channels; }  // floats
};

struct GroupNormLanes {
  const char* isa;
  // gamma, beta [C]; residual like x, or null. Writes y like x, and statistics [images, groups, 2]:
  // mean, 1/√(variance + eps).
  void (*forward)(const GroupNormLanesShape& shape, const float* x, const float* gamma,
                  const float* beta, const float* residual, float* y, float* statistics,
                  float* workspace);
  // Writes dx like x; adds to dgamma and dbeta [C].
  void (*backward)(const GroupNormLanesShape& shape, const float* x, const float* gamma,
                   const float* beta, const float* statistics, const float* dy, float* dx,
                   double* dgamma, double* dbeta, float* workspace);
};

const GroupNormLanes& group_norm_lanes_avx2();
const GroupNormLanes& group_norm_lanes_avx512();

}  // namespace lockstep
