// The operations of language models that are one kernel each: RMSNorm with the residual addition,
// SwiGLU, rotary positions with QK norm, cross-entropy with a soft cap; with gradients, on CPUs and
// GPUs.
//
// Float32, bfloat16 or float16, computed in float32. Weights of norms are float32 whatever the
// input. The formulas and sources are in the *_kernel.h headers. `fused: false` runs LibTorch's
// operations instead: what the kernels are tested and measured against (bench/kernels.cc).
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "core/config/fields.h"

namespace lockstep {

struct LanguageKernelOptions {
  bool fused = true;
  bool overwrite_logits = false;

  void fields(FieldVisitor& visit) {
    visit("fused", fused,
          "one kernel for each of norm, SwiGLU, rotary positions and loss; false: LibTorch's "
          "operations");
    visit("overwrite_logits", overwrite_logits,
          "the gradient of the logits takes their memory; nothing else may need them");
  }
};

// x [..., C] / √(mean(x²) + eps), times weight f32 [C] unless undefined.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                    const LanguageKernelOptions& options = {});

struct NormedSum {
  at::Tensor sum, normed;
};
// sum = x + residual, normed = rms_norm(sum).
NormedSum add_rms_norm(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight,
                       double eps, const LanguageKernelOptions& options = {});

// silu(gate) · up. The second form takes both in one tensor [..., 2C], gate first.
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up,
                  const LanguageKernelOptions& options = {});
at::Tensor swiglu(const at::Tensor& gate_up, const LanguageKernelOptions& options = {});

struct RotaryTable {
  at::Tensor cosines, sines;  // f32 [positions, D/2]
};
// angle(p, i) = p · theta^(−2i/D). `rounded_to`: the seed keeps its table in bfloat16.
RotaryTable rotary_table(int64_t positions, int64_t head_size, double theta,
                         at::ScalarType rounded_to, at::Device device);

struct RotaryUse {
  bool normalize = true;  // QK norm behind the rotation
  double eps = 1e-6;
};
// x [B, T, H, D]; heads lie together (a part of a fused projection is fine). positions i32 [B·T],
// or undefined: 0 … T−1 in each row. The result is dense.
at::Tensor rotary(const at::Tensor& x, const RotaryTable& table, const at::Tensor& positions,
                  const RotaryUse& use = {}, const LanguageKernelOptions& options = {});

// Losses f32 [N] of logits [N, V], 0 where the target i64 [N] is −1. Logits are capped at ±softcap
// by tanh; 0: not. On CPUs a target that is no word throws DataError; on GPUs its loss is NaN.
at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& targets, double softcap,
                         const LanguageKernelOptions& options = {});

}  // namespace lockstep
