// The kernels of a sampler's step, for where its state lies: a GPU's, or their twins on the CPU.
#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/sampler_kernel.h"
#include "tensor/random_fill.h"

namespace lockstep {

struct SamplerKernels {
  decltype(&cuda::sampler_step) step;
  decltype(&cuda::fill_normal) fill_normal;
  void* stream;  // the current one of the device; null on the CPU
};

// For work started now: the stream is the current one, so call it where that work is queued. Throws
// EnvironmentError if `x` lies on a GPU and the CUDA plug-in is of another version.
SamplerKernels sampler_kernels_for(const at::Tensor& x);

}  // namespace lockstep
