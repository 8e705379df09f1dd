// Compiled into liblockstep_cuda.so (cmake/cuda_kernels.cmake), never into liblockstep.so.
#include <c10/cuda/CUDAStream.h>

#include "optim/cuda_parts.h"

namespace {

void* current_stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

constexpr lockstep::optim::CudaParts kParts = {
    .current_stream = current_stream,
    .sum_blocks = lockstep::cuda::sum_blocks,
    .finish_norm = lockstep::cuda::finish_norm,
    .adam_update = lockstep::cuda::adam_update,
    .sgd_update = lockstep::cuda::sgd_update,
    .move_average = lockstep::cuda::move_average,
};

}  // namespace

extern "C" __attribute__((visibility("default"))) const lockstep::optim::CudaParts*
lockstep_optim_cuda(int abi) {
  return abi == lockstep::optim::kCudaPartsAbi ? &kParts : nullptr;
}
