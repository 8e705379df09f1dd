// Opens what a process computes on (design.md 2). Call open_cuda_for() before any other call into
// LibTorch.
#pragma once

#include <memory>
#include <string>

#include "tensor/device.h"

namespace lockstep {

// For `run.device`: "cuda" opens the CUDA plug-in and hands its kernels to the folders; "auto" does
// so if there are a GPU and a plug-in; "cpu" does nothing. Throws EnvironmentError where "cuda"
// cannot be had.
void open_cuda_for(const std::string& device);

// The device of a rank (or of a command, whose local rank is 0): "cuda" takes the local-rank-th
// visible GPU and binds the process to the cores of its NUMA node; else the CPU. Throws
// EnvironmentError if the rank has no GPU of its own. `tf32`: products of float32 may be rounded to
// TF32's 10 bits.
std::unique_ptr<Device> device_of_process(const std::string& device, bool tf32 = false);

}  // namespace lockstep
