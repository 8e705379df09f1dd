// Compiled into liblockstep_cuda.so (cmake/cuda_kernels.cmake), never into liblockstep.so.
#include <c10/cuda/CUDAStream.h>

#include "models/cuda_parts.h"

namespace {

void* current_stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

constexpr lockstep::models::CudaParts kParts = {
    .current_stream = current_stream,
    .swiglu_forward = lockstep::cuda::swiglu_forward,
    .swiglu_backward = lockstep::cuda::swiglu_backward,
};

}  // namespace

extern "C" __attribute__((visibility("default"))) const lockstep::models::CudaParts* lockstep_models_cuda(int abi) {
  return abi == lockstep::models::kCudaPartsAbi ? &kParts : nullptr;
}
