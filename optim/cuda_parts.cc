#include "optim/cuda_parts.h"

#include "tensor/cuda_plugin.h"

namespace lockstep::optim {

const CudaParts& cuda_parts() {
  static const auto* const parts =
      static_cast<const CudaParts*>(cuda_parts_of("optim", kCudaPartsAbi));
  return *parts;
}

}  // namespace lockstep::optim
