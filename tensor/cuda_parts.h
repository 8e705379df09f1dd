// What liblockstep_cuda.so brings for this folder.
#pragma once

#include <memory>

#include "tensor/device.h"

namespace lockstep::tensor {

struct CudaParts {
  std::unique_ptr<Device> (*make_device)(int index);
  // NVTX: a named range on the calling thread, for Nsight. Cheap where no such tool looks on.
  void (*push_range)(const char* name);
  void (*pop_range)();
};

}  // namespace lockstep::tensor
