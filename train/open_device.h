// Opens what a process computes on (design.md 2). Call open_cuda_for() before any other call into
// LibTorch.
#pragma once

#include <memory>

#include "core/config/run_words.h"
#include "tensor/device.h"

namespace lockstep {

// For `run.device`: kCuda opens the CUDA plug-in and hands its kernels to the folders; kAuto does
// so if there are a GPU and a plug-in; kCpu does nothing. Throws EnvironmentError where kCuda
// cannot be had.
void open_cuda_for(DeviceKind device);

// The device of a rank (or of a command, whose local rank is 0): kCuda takes the local-rank-th
// visible GPU and binds the process to the cores of its NUMA node; else the CPU. Throws
// EnvironmentError if the rank has no GPU of its own. `tf32`: products of float32 may be rounded to
// TF32's 10 bits.
std::unique_ptr<Device> device_of_process(DeviceKind device, bool tf32 = false);

}  // namespace lockstep
