// GroupNorm, scale, shift and SiLU in channels-last order as one operation, on the GPU and on the
// CPU.
//
//     n = (x − mean_group) · rstd_group · gamma_c + beta_c
//     z = n · (1 + scale_bc) + shift_bc
//     y = silu(z) (+ residual)
//
// Wu and He, "Group Normalization", ECCV 2018, arXiv:1803.08494, eq. 7. LibTorch's CUDA GroupNorm
// copies channels-last tensors to the other order and back; convolutions on tensor cores want
// channels last.
//
// Statistics are taken about the group's first element, so a large mean costs no digits. Memory:
// forward reads x twice and writes y; backward reads x and dy twice and writes dx (the second time
// from the L2 cache where it fits).
#pragma once

#include <cstdint>

#include "core/float_type.h"
#include "kernels/lanes/column_chunks.h"

namespace lockstep {

struct GroupNormShape {
  int64_t batch = 0, positions = 0, channels = 0,
          groups = 1;  // x [batch, positions, channels], dense
  float eps = 1e-5f;
  bool silu = false;
  FloatType type = FloatType::kFloat32;  // of x, y, dy, dx; all else is float32

  // Floats of workspace: the chunks' sums, their totals, and five numbers that each channel of an
  // image needs.
  int64_t workspace() const {
    return batch * channels * (2 * column_chunks(batch, positions, channels).count + 2 + 5);
  }
};

// gamma, beta [C]; scale_shift [B, 2C]: each may be null. statistics [B, groups, 2]: mean, rstd.
struct GroupNormInputs {
  const void* x = nullptr;
  const float *gamma = nullptr, *beta = nullptr, *scale_shift = nullptr;
  const void* residual = nullptr;  // like x, or null; forward alone reads it: its gradient is dy
};
// Each of the last three may be null; they are written, not added to.
struct GroupNormGradients {
  void* dx = nullptr;
  float *dgamma = nullptr, *dbeta = nullptr, *d_scale_shift = nullptr;
};

namespace cuda {
// batch ≤ 65,535.
void group_norm_forward(const GroupNormShape& shape, const GroupNormInputs& in, void* y,
                        float* statistics, float* workspace, void* stream);
void group_norm_backward(const GroupNormShape& shape, const GroupNormInputs& in,
                         const float* statistics, const void* dy, const GroupNormGradients& out,
                         float* workspace, void* stream);
}  // namespace cuda

namespace cpu {
void group_norm_forward(const GroupNormShape& shape, const GroupNormInputs& in, void* y,
                        float* statistics, float* workspace, void* stream);
void group_norm_backward(const GroupNormShape& shape, const GroupNormInputs& in,
                         const float* statistics, const void* dy, const GroupNormGradients& out,
                         float* workspace, void* stream);
}  // namespace cpu

}  // namespace lockstep
