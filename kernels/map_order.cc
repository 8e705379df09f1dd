#include "kernels/map_order.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>

#include "core/errors.h"

namespace lockstep {

const std::vector<std::string>& memory_formats() {
  static const std::vector<std::string> words{"auto", "channels_first", "channels_last"};
  return words;
}

MapOrder map_order(const std::string& memory_format, at::Device device) {
  if (memory_format == "channels_last") return MapOrder::kChannelsLast;
  if (memory_format == "channels_first") return MapOrder::kChannelsFirst;
  if (memory_format != "auto") throw InternalError("no memory format: " + memory_format);
  return device.is_cuda() ? MapOrder::kChannelsLast : MapOrder::kChannelsFirst;
}

at::Tensor map_in_order(const at::Tensor& x, MapOrder order) {
  return x.contiguous(order == MapOrder::kChannelsLast ? at::MemoryFormat::ChannelsLast
                                                       : at::MemoryFormat::Contiguous);
}

at::Tensor convolution_weight(const at::Tensor& weight, MapOrder order) {
  if (order == MapOrder::kChannelsFirst || weight.is_contiguous(at::MemoryFormat::ChannelsLast))
    return weight;
  const at::DeviceType device = weight.device().type();
  const at::ScalarType dtype = at::autocast::is_autocast_enabled(device)
                                   ? at::autocast::get_autocast_dtype(device)
                                   : weight.scalar_type();
  return weight.to(weight.options().dtype(dtype), /*non_blocking=*/false, /*copy=*/false,
                   at::MemoryFormat::ChannelsLast);
}

}  // namespace lockstep
