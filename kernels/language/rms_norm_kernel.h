// RMSNorm with the residual addition in front of it as one operation, on the GPU and on the CPU.
//
//     h = x + residual (rounded to the type),   y = h · rstd · w,   rstd = 1/√(mean(h²) + eps)
//
// Zhang and Sennrich, "Root Mean Square Layer Normalization", NeurIPS 2019, arXiv:1910.07467,
// eq. 4. The weight is float32 whatever the type of x: LibTorch's kernel falls back to eight
// operations there.
//
// Memory: forward reads x and residual, writes h and y; backward reads h, dy, dh and writes dx
// (with a weight h and dy once more, from the L2 cache where they fit).
#pragma once

#include <cstdint>

#include "core/float_type.h"
#include "kernels/lanes/column_chunks.h"

namespace lockstep {

struct RmsNormShape {
  int64_t rows = 0, columns = 0;
  float eps = 1e-6f;
  FloatType type = FloatType::kFloat32;  // of x, residual, h, y and their gradients

  // Floats of workspace for the backward of a weight.
  int64_t workspace() const { return 2 * columns * column_chunks(1, rows, columns).count; }
};

// residual and h are both null (then x is h) or both given; weight f32 [columns] or null; rstd f32
// [rows]. Backward: dh, the gradient that reaches h past the norm, may be null; dx is that of x and
// of residual; dw, null without a weight, is written, not added to.
namespace cuda {
void rms_norm_forward(const RmsNormShape& shape, const void* x, const void* residual,
                      const float* weight, void* h, void* y, float* rstd, void* stream);
void rms_norm_backward(const RmsNormShape& shape, const void* h, const float* weight,
                       const float* rstd, const void* dy, const void* dh, void* dx, float* dw,
                       float* workspace, void* stream);
}  // namespace cuda

namespace cpu {
void rms_norm_forward(const RmsNormShape& shape, const void* x, const void* residual,
                      const float* weight, void* h, void* y, float* rstd, void* stream);
void rms_norm_backward(const RmsNormShape& shape, const void* h, const float* weight,
                       const float* rstd, const void* dy, const void* dh, void* dx, float* dw,
                       float* workspace, void* stream);
}  // namespace cpu

}  // namespace lockstep
