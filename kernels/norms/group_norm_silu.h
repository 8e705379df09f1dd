// GroupNorm, SiLU and the residual sum of the Sudoku seed's blocks as one operation.
//
//     y = silu((x − mean) / √(variance + eps) · gamma + beta) (+ residual)
//
// Wu and He, "Group Normalization", ECCV 2018, arXiv:1803.08494, eq. 7. Float32 maps in
// channels-last order with a multiple of 16 channels run in one kernel on CPUs with AVX2: three
// passes over a map that stays in the nearest cache instead of LibTorch's separate norm, SiLU and
// sum, and two in backward. All others as tensor operations. On GPUs the kernel of
// group_norm_kernel.h computes norm, SiLU and sum, whatever the order of x.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace lockstep {

// x, residual [N, C, H, W] (an undefined residual adds nothing), gamma and beta [C], groups a
// divisor of C. Differentiable once.
at::Tensor group_norm_silu(const at::Tensor& x, int64_t groups, const at::Tensor& gamma,
                           const at::Tensor& beta, double eps, const at::Tensor& residual);

// The same by the kernel of group_norm_kernel.h: what GPUs run, and on CPUs its twin. float32,
// bfloat16 or float16; the result is channels last.
at::Tensor group_norm_silu_rows(const at::Tensor& x, int64_t groups, const at::Tensor& gamma,
                                const at::Tensor& beta, double eps, const at::Tensor& residual);

// The same by tensor operations: what the fused kernel is tested against.
at::Tensor group_norm_silu_reference(const at::Tensor& x, int64_t groups, const at::Tensor& gamma,
                                     const at::Tensor& beta, double eps,
                                     const at::Tensor& residual);

}  // namespace lockstep
