// Rotary positions followed by QK norm as one operation on queries or keys, on the GPU and on the
// CPU.
//
//     r1 = x1·cos + x2·sin,  r2 = x2·cos − x1·sin      (x1, x2: the halves of a head)
//     y  = r / √(mean(r²) + eps)
//
// Su et al., "RoFormer", 2021, arXiv:2104.09864, eq. 34, halves instead of neighbours, turned by −θ
// as nanochat does; Dehghani et al., "Scaling Vision Transformers to 22 Billion Parameters", 2023,
// arXiv:2302.05442, 2.1 for the norm.
//
// Memory: forward reads x and writes y; backward reads y and dy and writes dx. x is not needed for
// backward: y tells what the norm took away, and the rotation is linear.
#pragma once

#include <cstdint>

#include "core/float_type.h"

namespace lockstep {

struct RotaryShape {
  int64_t tokens = 0, heads = 0, head_size = 0;  // head_size even
  int64_t x_stride =
      0;  // elements from a token of x or dx to the next: queries, keys and values may lie together
  int64_t sequence = 1;   // without positions: a token's position is its number mod sequence
  bool normalize = true;  // QK norm
  float eps = 1e-6f;
  FloatType type = FloatType::kFloat32;  // of x, y, dy, dx
};

// cosines and sines f32 [positions, head_size/2]; positions i32 [tokens] or null; y and dy [tokens,
// heads, head_size] dense; rstd f32 [tokens, heads], unused without normalize.
namespace cuda {
void rotary_forward(const RotaryShape& shape, const void* x, const float* cosines,
                    const float* sines, const int32_t* positions, void* y, float* rstd,
                    void* stream);
void rotary_backward(const RotaryShape& shape, const void* y, const float* rstd,
                     const float* cosines, const float* sines, const int32_t* positions,
                     const void* dy, void* dx, void* stream);
}  // namespace cuda

namespace cpu {
void rotary_forward(const RotaryShape& shape, const void* x, const float* cosines,
                    const float* sines, const int32_t* positions, void* y, float* rstd,
                    void* stream);
void rotary_backward(const RotaryShape& shape, const void* y, const float* rstd,
                     const float* cosines, const float* sines, const int32_t* positions,
                     const void* dy, void* dx, void* stream);
}  // namespace cpu

}  // namespace lockstep
