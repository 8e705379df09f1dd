// Stands in for CUDA's header of that name (cuda_runtime.h beside it).
#pragma once

#include "tests/emulation/float_bits.h"

struct __nv_bfloat16 {
  uint16_t bits;
};
inline float __bfloat162float(__nv_bfloat16 x) { return emulation::bfloat16_to_float(x.bits); }
inline __nv_bfloat16 __float2bfloat16_rn(float x) { return {emulation::float_to_bfloat16(x)}; }
