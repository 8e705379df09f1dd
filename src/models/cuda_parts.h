// What the CUDA plug-in gives to this folder: the kernels, as function pointers.
//
// liblockstep_cuda.so exports `lockstep_models_cuda` (models_cuda.cc); whoever opens it hands the result to
// set_cuda_parts(). Every pointer has the parameters of its twin in lockstep::cpu (the *_kernel.h headers).
#pragma once

#include "models/swiglu_kernel.h"

namespace lockstep::models {

inline constexpr int kCudaPartsAbi = 1;

struct CudaParts {
  void* (*current_stream)();  // of LibTorch on the current device, a cudaStream_t
  decltype(&cuda::swiglu_forward) swiglu_forward;
  decltype(&cuda::swiglu_backward) swiglu_backward;
};

// Once, before the first tensor on a GPU; null takes them away (tests).
void set_cuda_parts(const CudaParts* parts);
// Throws EnvironmentError if the plug-in was not opened.
const CudaParts& cuda_parts();

}  // namespace lockstep::models

// Null for another abi.
extern "C" const lockstep::models::CudaParts* lockstep_models_cuda(int abi);
