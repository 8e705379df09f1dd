#include "optim/cuda_parts.h"

#include <atomic>

#include "core/errors.h"

namespace lockstep::optim {
namespace {

std::atomic<const CudaParts*>& installed() {
  static std::atomic<const CudaParts*> parts{nullptr};
  return parts;
}

}  // namespace

void set_cuda_parts(const CudaParts* parts) { installed() = parts; }

const CudaParts& cuda_parts() {
  const CudaParts* parts = installed();
  if (parts == nullptr)
    throw EnvironmentError("the weights lie on a GPU, and the CUDA kernels are not loaded",
                           "run with run.device=cuda where liblockstep_cuda.so was built, or with run.device=cpu");
  return *parts;
}

}  // namespace lockstep::optim
