// In which order feature maps [B, C, H, W] lie in memory.
//
// Convolutions on tensor cores want channels last, and our norms then read rows
// (channel_rows_kernel.h, group_norm_kernel.h). On CPUs the fused norms and most convolutions are
// faster channels first (docs/log.md).
#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace lockstep {

enum class MapOrder { kChannelsFirst, kChannelsLast };

// The words of `task.model.memory_format`.
const std::vector<std::string>& memory_formats();
// auto: channels last on GPUs, channels first on CPUs.
MapOrder map_order(const std::string& memory_format, at::Device device);

// x in that order: x itself if it lies so already.
at::Tensor map_in_order(const at::Tensor& x, MapOrder order);

// A convolution's weight [O, I, k, k] as a convolution in `order` takes it, in autocast's dtype.
// One copy serves forward and backward; LibTorch would make one in each.
at::Tensor convolution_weight(const at::Tensor& weight, MapOrder order);

}  // namespace lockstep
