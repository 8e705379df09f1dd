// Compiled into liblockstep_cuda.so (cmake/cuda_kernels.cmake), never into liblockstep.so.
#include <c10/cuda/CUDAStream.h>

#include "kernels/cuda_parts.h"

namespace {

void* current_stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

constexpr lockstep::kernels::CudaParts kParts = {
    .current_stream = current_stream,
    .channel_rows_forward = lockstep::cuda::channel_rows_forward,
    .channel_rows_backward = lockstep::cuda::channel_rows_backward,
    .cross_entropy_forward = lockstep::cuda::cross_entropy_forward,
    .cross_entropy_backward = lockstep::cuda::cross_entropy_backward,
    .dropout = lockstep::cuda::dropout,
    .group_norm_forward = lockstep::cuda::group_norm_forward,
    .group_norm_backward = lockstep::cuda::group_norm_backward,
    .rms_norm_forward = lockstep::cuda::rms_norm_forward,
    .rms_norm_backward = lockstep::cuda::rms_norm_backward,
    .rotary_forward = lockstep::cuda::rotary_forward,
    .rotary_backward = lockstep::cuda::rotary_backward,
    .sampler_step = lockstep::cuda::sampler_step,
    .swiglu_forward = lockstep::cuda::swiglu_forward,
    .swiglu_backward = lockstep::cuda::swiglu_backward,
    .fill_uniform = lockstep::cuda::fill_uniform,
    .fill_normal = lockstep::cuda::fill_normal,
};

}  // namespace

extern "C" __attribute__((visibility("default"))) const lockstep::kernels::CudaParts*
lockstep_kernels_cuda(int abi) {
  return abi == lockstep::kernels::kCudaPartsAbi ? &kParts : nullptr;
}
