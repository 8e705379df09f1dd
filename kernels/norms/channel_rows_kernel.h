// The channel norm of the image UNets in channels-last order: length, gain, scale, shift and SiLU
// as one operation.
//
//     u = x · √C / max(‖x‖, 1e-12),   z = u · g_c · (1 + scale_bc) + shift_bc,   y = silu(z)
//
// over the C channels of each position. What channel_norm.h computes for [B, C, H, W]; there the
// CPU has its own fused kernel (channel_norm_kernel.h), here each position is a row, as
// convolutions on GPUs want it.
//
// Memory: forward reads x and writes y; backward reads x and dy twice and writes dx.
#pragma once

#include <cstdint>

#include "core/float_type.h"
#include "kernels/lanes/column_chunks.h"

namespace lockstep {

struct ChannelRowsShape {
  int64_t batch = 0, positions = 0, channels = 0;  // x [batch, positions, channels], dense
  bool silu = false;
  FloatType type = FloatType::kFloat32;  // of x, y, dy, dx; all else is float32

  // Floats of workspace for backward: √C/‖x‖ of each position, the chunks' sums and their totals.
  int64_t workspace() const {
    return batch * positions +
           batch * channels * 2 * (column_chunks(batch, positions, channels).count + 1);
  }
};

// g [C]; scale_shift and d_scale_shift [B, 2C] or null; dg [C] is written, not added to.
namespace cuda {
// batch ≤ 65,535.
void channel_rows_forward(const ChannelRowsShape& shape, const void* x, const float* g,
                          const float* scale_shift, void* y, void* stream);
void channel_rows_backward(const ChannelRowsShape& shape, const void* x, const float* g,
                           const float* scale_shift, const void* dy, void* dx, float* dg,
                           float* d_scale_shift, float* workspace, void* stream);
}  // namespace cuda

namespace cpu {
void channel_rows_forward(const ChannelRowsShape& shape, const void* x, const float* g,
                          const float* scale_shift, void* y, void* stream);
void channel_rows_backward(const ChannelRowsShape& shape, const void* x, const float* g,
                           const float* scale_shift, const void* dy, void* dx, float* dg,
                           float* d_scale_shift, float* workspace, void* stream);
}  // namespace cpu

}  // namespace lockstep
