// What the CUDA plug-in gives to this folder: the optimizer's kernels, as function pointers.
//
// liblockstep_cuda.so exports `lockstep_optim_cuda` (optim_cuda.cc), which cuda_parts() asks for
// it. Every pointer has the parameters of its twin in lockstep::cpu.
#pragma once

#include "optim/kernels/update_kernels.h"

namespace lockstep::optim {

inline constexpr int kCudaPartsAbi = 1;

struct CudaParts {
  void* (*current_stream)();  // of LibTorch on the current device, a cudaStream_t
  decltype(&cuda::sum_blocks) sum_blocks;
  decltype(&cuda::finish_norm) finish_norm;
  decltype(&cuda::adam_update) adam_update;
  decltype(&cuda::sgd_update) sgd_update;
  decltype(&cuda::move_average) move_average;
};

// Of the open plug-in, looked up once. Throws EnvironmentError if it was not opened or is of
// another version.
const CudaParts& cuda_parts();

}  // namespace lockstep::optim

// Null for another abi.
extern "C" const lockstep::optim::CudaParts* lockstep_optim_cuda(int abi);
