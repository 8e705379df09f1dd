#include "kernels/cuda_parts.h"

#include "tensor/cuda_plugin.h"

namespace lockstep::kernels {
namespace {

constexpr CudaParts kTwins = {
    .current_stream = [] { return static_cast<void*>(nullptr); },
    .channel_rows_forward = cpu::channel_rows_forward,
    .channel_rows_backward = cpu::channel_rows_backward,
    .cross_entropy_forward = cpu::cross_entropy_forward,
    .cross_entropy_backward = cpu::cross_entropy_backward,
    .dropout = cpu::dropout,
    .group_norm_forward = cpu::group_norm_forward,
    .group_norm_backward = cpu::group_norm_backward,
    .rms_norm_forward = cpu::rms_norm_forward,
    .rms_norm_backward = cpu::rms_norm_backward,
    .rotary_forward = cpu::rotary_forward,
    .rotary_backward = cpu::rotary_backward,
    .sampler_step = cpu::sampler_step,
    .swiglu_forward = cpu::swiglu_forward,
    .swiglu_backward = cpu::swiglu_backward,
    .fill_uniform = cpu::fill_uniform,
    .fill_normal = cpu::fill_normal,
};

}  // namespace

const CudaParts& cuda_parts() {
  static const auto* const parts =
      static_cast<const CudaParts*>(cuda_parts_of("kernels", kCudaPartsAbi));
  return *parts;
}

const CudaParts& kernels_for(const at::Tensor& x) { return x.is_cuda() ? cuda_parts() : kTwins; }

}  // namespace lockstep::kernels
