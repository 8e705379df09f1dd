// Autocast for one forward pass.
//
// LibTorch has no C++ guard for autocast; this one sets dtype and switch for the CPU, keeps the
// cast cache off (a cached low-precision copy of a weight would survive the update) and restores
// everything. Backward runs outside of it. Thread-local: each slot thread has its own.
#pragma once

#include <string>

#include <ATen/core/Tensor.h>

namespace lockstep {

class AutocastGuard {
 public:
  // `compute`: "fp32" does nothing, "bf16" casts to bfloat16.
  explicit AutocastGuard(const std::string& compute);
  ~AutocastGuard();
  AutocastGuard(const AutocastGuard&) = delete;
  AutocastGuard& operator=(const AutocastGuard&) = delete;

 private:
  bool active_;
  bool old_enabled_ = false, old_cache_ = true;
  at::ScalarType old_dtype_ = at::kBFloat16;
};

}  // namespace lockstep
