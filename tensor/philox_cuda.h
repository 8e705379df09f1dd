// Philox4x32-10 in device code: what core/philox.h gives on the CPU. Included by .cu files only.
#pragma once

#include "tensor/device_cuda.h"

namespace lockstep::cuda {

struct PhiloxFour {
  uint32_t word[4];
};

__device__ inline PhiloxFour philox(PhiloxFour c, uint32_t key0, uint32_t key1) {
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint32_t high0 = __umulhi(0xD2511F53u, c.word[0]), low0 = 0xD2511F53u * c.word[0];
    const uint32_t high1 = __umulhi(0xCD9E8D57u, c.word[2]), low1 = 0xCD9E8D57u * c.word[2];
    c = {{high1 ^ c.word[1] ^ key0, low1, high0 ^ c.word[3] ^ key1, low0}};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return c;
}

// Uniform in [0, 1).
__device__ inline float philox_unit(uint32_t bits) {
  return static_cast<float>(bits >> 8) * 0x1p-24f;
}

}  // namespace lockstep::cuda
