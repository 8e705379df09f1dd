// What liblockstep_cuda.so brings for this folder.
#pragma once

#include <memory>

#include "ddp/device/device_communicator.h"

namespace lockstep::ddp {

struct CudaParts {
  // Collective. `device`: index of the rank's GPU.
  std::unique_ptr<DeviceCommunicator> (*make_nccl)(Communicator& host, int device,
                                                   double timeout_seconds);
};

}  // namespace lockstep::ddp
