#include "models/diffusion/device_kernels.h"

#include "kernels/cuda_parts.h"

namespace lockstep {

SamplerKernels sampler_kernels_for(const at::Tensor& x) {
  const kernels::CudaParts& parts = kernels::kernels_for(x);
  return {parts.sampler_step, parts.fill_normal, parts.current_stream()};
}

}  // namespace lockstep
