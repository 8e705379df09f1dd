// What the CUDA plug-in gives to this folder: the kernels, as function pointers.
//
// liblockstep_cuda.so exports `lockstep_kernels_cuda` (kernels_cuda.cc), which cuda_parts() asks
// for it. Every pointer has the parameters of its twin in lockstep::cpu (the *_kernel.h headers).
#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/dropout_kernel.h"
#include "kernels/language/cross_entropy_kernel.h"
#include "kernels/language/rms_norm_kernel.h"
#include "kernels/language/rotary_kernel.h"
#include "kernels/language/swiglu_kernel.h"
#include "kernels/norms/channel_rows_kernel.h"
#include "kernels/norms/group_norm_kernel.h"
#include "kernels/sampler_kernel.h"
#include "tensor/random_fill.h"

namespace lockstep::kernels {

inline constexpr int kCudaPartsAbi = 2;

struct CudaParts {
  void* (*current_stream)();  // of LibTorch on the current device, a cudaStream_t
  decltype(&cuda::channel_rows_forward) channel_rows_forward;
  decltype(&cuda::channel_rows_backward) channel_rows_backward;
  decltype(&cuda::cross_entropy_forward) cross_entropy_forward;
  decltype(&cuda::cross_entropy_backward) cross_entropy_backward;
  decltype(&cuda::dropout) dropout;
  decltype(&cuda::group_norm_forward) group_norm_forward;
  decltype(&cuda::group_norm_backward) group_norm_backward;
  decltype(&cuda::rms_norm_forward) rms_norm_forward;
  decltype(&cuda::rms_norm_backward) rms_norm_backward;
  decltype(&cuda::rotary_forward) rotary_forward;
  decltype(&cuda::rotary_backward) rotary_backward;
  decltype(&cuda::sampler_step) sampler_step;
  decltype(&cuda::swiglu_forward) swiglu_forward;
  decltype(&cuda::swiglu_backward) swiglu_backward;
  decltype(&cuda::fill_uniform) fill_uniform;
  decltype(&cuda::fill_normal) fill_normal;
};

// Of the open plug-in, looked up once. Throws EnvironmentError if it was not opened or is of
// another version.
const CudaParts& cuda_parts();
// The kernels for where `x` lies: cuda_parts(), or the twins of lockstep::cpu (whose stream is
// null).
const CudaParts& kernels_for(const at::Tensor& x);

}  // namespace lockstep::kernels

// Null for another abi.
extern "C" const lockstep::kernels::CudaParts* lockstep_kernels_cuda(int abi);
