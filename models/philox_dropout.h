// Dropout by Philox masks, with gradients, on CPUs and GPUs (dropout_kernel.h).
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "kernels/map_order.h"

namespace lockstep {

// What the masks of a batch are drawn from, as i64 [2 + ids] on the CPU: to be moved to where the
// network computes. A tensor, so that a recorded step reads it anew at each replay.
at::Tensor dropout_numbers(uint64_t seed, int64_t step, const std::vector<int64_t>& ids);

// x [B, C, H, W] in the memory order `order`; `numbers` [2 + B] where x lies. The mask begins at
// number `first` of each sample, a multiple of 4. float32, bfloat16, float16.
at::Tensor philox_dropout(const at::Tensor& x, const at::Tensor& numbers, double share,
                          int64_t first, MapOrder order);

}  // namespace lockstep
