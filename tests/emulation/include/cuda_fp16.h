// Stands in for CUDA's header of that name (cuda_runtime.h beside it).
#pragma once

#include "tests/emulation/float_bits.h"

struct __half {
  uint16_t bits;
};
inline float __half2float(__half x) { return emulation::float16_to_float(x.bits); }
inline __half __float2half_rn(float x) { return {emulation::float_to_float16(x)}; }
