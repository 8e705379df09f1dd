// The number formats of a run: what `precision.compute` means.
//
//   fp32                        everything in float32
//   bf16, fp16                  autocast in forward; weights and gradients stay float32
//   bf16_weights, fp16_weights  the network holds low-precision copies of the weights, which are
//                               refreshed from the float32 ones after every update
// float16 kinds scale the loss (optim/loss_scale.h). Slot sums, tree, optimizer and EMA are float32
// always (design.md 3, rule 11).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/config/run_words.h"
#include "ddp/arena.h"

namespace lockstep {

struct Precision {
  at::ScalarType dtype = at::kFloat;  // of convolutions and matrix products
  bool low_weights = false;
  bool scales_loss() const { return dtype == at::kHalf; }
};

Precision precision_of(Compute compute);

// Autocast for one forward pass; backward runs outside of it.
//
// LibTorch has no C++ guard for autocast. This one sets dtype and switch of a device, and restores
// everything at its end. The cast cache stays off in training: a cached low-precision copy of a
// weight would survive the update. With `keep_casts` the cache holds each weight's copy until the
// guard ends, so no weight may change meanwhile. Thread-local: each slot thread has its own.
class AutocastGuard {
 public:
  // kFp32 does nothing.
  explicit AutocastGuard(Compute compute, bool keep_casts = false,
                         at::DeviceType device = at::kCPU);
  ~AutocastGuard();
  AutocastGuard(const AutocastGuard&) = delete;
  AutocastGuard& operator=(const AutocastGuard&) = delete;

 private:
  const at::DeviceType device_;
  bool active_;
  bool old_enabled_ = false, old_cache_ = true;
  at::ScalarType old_dtype_ = at::kBFloat16;
};

// The low-precision copies that all replicas of a rank share.
class LowPrecisionWeights {
 public:
  LowPrecisionWeights(const ArenaLayout& layout, at::ScalarType dtype,
                      at::Device device = at::kCPU);
  const at::Tensor& flat() const { return flat_; }
  // Views shaped as the parameters, in order.
  const std::vector<at::Tensor>& views() const { return views_; }
  // Rounds the masters to the nearest even. No slot may be computing.
  void refresh(const Arena& masters);

 private:
  at::Tensor flat_;
  std::vector<at::Tensor> views_;
};

}  // namespace lockstep
