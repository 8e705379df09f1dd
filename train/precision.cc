#include "train/precision.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>

#include "core/errors.h"

namespace lockstep {

Precision precision_of(const std::string& compute) {
  if (compute == "fp32") return {};
  if (compute == "bf16") return {at::kBFloat16, false};
  if (compute == "fp16") return {at::kHalf, false};
  if (compute == "bf16_weights") return {at::kBFloat16, true};
  if (compute == "fp16_weights") return {at::kHalf, true};
  throw ConfigError("precision.compute '" + compute + "' is not known",
                    "it is one of fp32, bf16, fp16, bf16_weights, fp16_weights");
}

AutocastGuard::AutocastGuard(const std::string& compute, bool keep_casts, at::DeviceType device)
    : device_(device) {
  const Precision precision = precision_of(compute);
  active_ = precision.dtype != at::kFloat;
  if (!active_) return;
  old_enabled_ = at::autocast::is_autocast_enabled(device_);
  old_dtype_ = at::autocast::get_autocast_dtype(device_);
  old_cache_ = at::autocast::is_autocast_cache_enabled();
  at::autocast::set_autocast_dtype(device_, precision.dtype);
  at::autocast::set_autocast_enabled(device_, true);
  at::autocast::set_autocast_cache_enabled(keep_casts);
  at::autocast::increment_nesting();
}

AutocastGuard::~AutocastGuard() {
  if (!active_) return;
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device_, old_enabled_);
  at::autocast::set_autocast_dtype(device_, old_dtype_);
  at::autocast::set_autocast_cache_enabled(old_cache_);
}

LowPrecisionWeights::LowPrecisionWeights(const ArenaLayout& layout, at::ScalarType dtype,
                                         at::Device device)
    : flat_(at::zeros({layout.size}, at::TensorOptions(dtype).device(device))) {
  for (const ArenaEntry& entry : layout.entries)
    views_.push_back(flat_.narrow(0, entry.offset, entry.count).view(entry.shape));
}

void LowPrecisionWeights::refresh(const Arena& masters) {
  const at::NoGradGuard no_grad;
  flat_.copy_(masters.flat());
}

}  // namespace lockstep
