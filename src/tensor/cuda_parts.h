// What liblockstep_cuda.so brings for this folder.
#pragma once

#include <memory>

#include "tensor/device.h"

namespace lockstep::tensor {

struct CudaParts {
  std::unique_ptr<Device> (*make_device)(int index);
};

}  // namespace lockstep::tensor
