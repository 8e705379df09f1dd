#include "train/precision.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>

namespace lockstep {

Precision precision_of(Compute compute) {
  switch (compute) {
    case Compute::kFp32:
      break;
    case Compute::kBf16:
      return {at::kBFloat16, false};
    case Compute::kFp16:
      return {at::kHalf, false};
    case Compute::kBf16Weights:
      return {at::kBFloat16, true};
    case Compute::kFp16Weights:
      return {at::kHalf, true};
  }
  return {};
}

AutocastGuard::AutocastGuard(Compute compute, bool keep_casts, at::DeviceType device)
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
