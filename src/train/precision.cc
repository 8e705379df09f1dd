#include "train/precision.h"

#include <ATen/autocast_mode.h>

#include "core/errors.h"

namespace lockstep {

AutocastGuard::AutocastGuard(const std::string& compute) : active_(compute == "bf16") {
  if (!active_) {
    if (compute != "fp32") throw ConfigError("precision.compute '" + compute + "' is not known on CPU");
    return;
  }
  old_enabled_ = at::autocast::is_autocast_enabled(at::kCPU);
  old_dtype_ = at::autocast::get_autocast_dtype(at::kCPU);
  old_cache_ = at::autocast::is_autocast_cache_enabled();
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  at::autocast::set_autocast_enabled(at::kCPU, true);
  at::autocast::set_autocast_cache_enabled(false);
  at::autocast::increment_nesting();
}

AutocastGuard::~AutocastGuard() {
  if (!active_) return;
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(at::kCPU, old_enabled_);
  at::autocast::set_autocast_dtype(at::kCPU, old_dtype_);
  at::autocast::set_autocast_cache_enabled(old_cache_);
}

}  // namespace lockstep
