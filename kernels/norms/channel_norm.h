// The norm of the image UNets: each position's channels are divided by their length.
//
// RMSNorm over channels, Zhang and Sennrich, NeurIPS 2019, arXiv:1910.07467: y = x / max(‖x‖,
// 1e-12) · g · √C. Computed in fp32 whatever the dtype of x; the result has the dtype of x. Maps of
// a multiple of 16 positions run in one fused kernel on CPUs with AVX2, others as tensor
// operations.
#pragma once

#include <ATen/core/Tensor.h>

namespace lockstep {

// x [B, C, H, W], g [1, C, 1, 1].
at::Tensor channel_norm(const at::Tensor& x, const at::Tensor& g);

// silu(norm(x)·(1 + scale) + shift), with scale and shift the halves of scale_shift [B, 2C];
// undefined: none.
at::Tensor channel_norm_silu(const at::Tensor& x, const at::Tensor& g,
                             const at::Tensor& scale_shift);

// The same for maps in channels-last order, with SiLU or without, by the kernels of
// channel_rows_kernel.h: on GPUs, and by their twins on CPUs. x float32, bfloat16 or float16 in any
// order; the result is channels last.
at::Tensor channel_norm_rows(const at::Tensor& x, const at::Tensor& g,
                             const at::Tensor& scale_shift, bool silu);

// The same by tensor operations: what the fused kernel is tested against.
at::Tensor channel_norm_reference(const at::Tensor& x, const at::Tensor& g,
                                  const at::Tensor& scale_shift, bool silu);

}  // namespace lockstep
