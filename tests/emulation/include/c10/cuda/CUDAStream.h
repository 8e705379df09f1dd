// Stands in for LibTorch's header of that name: a stream of the emulated GPU (tests/emulation/gpu).
#pragma once

#include <c10/core/Device.h>
#include <c10/util/Exception.h>
#include <cuda_runtime_api.h>

#include "tests/emulation/gpu/memory.h"

namespace c10::cuda {

class CUDAStream {
 public:
  explicit CUDAStream(emulation::StreamId id) : id_(id) {}
  emulation::StreamId id() const { return id_; }
  cudaStream_t stream() const { return reinterpret_cast<cudaStream_t>(id_); }
  void synchronize() const { emulation::host_waits_for_all(); }

 private:
  emulation::StreamId id_;
};

inline CUDAStream getStreamFromPool(bool, DeviceIndex) {
  return CUDAStream(emulation::make_stream());
}
inline CUDAStream getCurrentCUDAStream(DeviceIndex = -1) {
  return CUDAStream(emulation::current_stream());
}
inline void set_device(DeviceIndex index) { emulation::set_device(index); }

}  // namespace c10::cuda

#define C10_CUDA_CHECK(call) TORCH_CHECK((call) == cudaSuccess, "CUDA error")
