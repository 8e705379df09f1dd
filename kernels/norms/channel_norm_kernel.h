// The channel norm of the image UNets as one kernel: length, scale, shift and SiLU in two passes
// over x instead of ten, and its backward in three. One instance for each instruction set.
#pragma once

#include <cstdint>

namespace lockstep {

// x [batch, channels, positions] in that order; positions is a multiple of kLanePositions.
inline constexpr int64_t kLanePositions = 16;
struct ChannelNormShape {
  int64_t batch = 0, channels = 0, positions = 0;
  bool silu = false;
};

struct ChannelNormKernel {
  const char* isa;
  // g [C]; scale_shift [B, 2C] or null. Writes y like x.
  void (*forward)(const ChannelNormShape& shape, const float* x, const float* g,
                  const float* scale_shift, float* y);
  // Writes dx like x and, unless null, d_scale_shift; adds to dg.
  void (*backward)(const ChannelNormShape& shape, const float* x, const float* g,
                   const float* scale_shift, const float* dy, float* dx, float* dg,
                   float* d_scale_shift);
};

const ChannelNormKernel& channel_norm_kernel_avx2();
const ChannelNormKernel& channel_norm_kernel_avx512();

}  // namespace lockstep
