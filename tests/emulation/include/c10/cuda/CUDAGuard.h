// Stands in for LibTorch's header of that name (tests/emulation/gpu).
#pragma once

#include <c10/cuda/CUDAStream.h>

namespace c10::cuda {

class CUDAGuard {
 public:
  explicit CUDAGuard(DeviceIndex index) : before_(emulation::device_index()) {
    emulation::set_device(index);
  }
  CUDAGuard(const CUDAGuard&) = delete;
  ~CUDAGuard() { emulation::set_device(before_); }

 private:
  int before_;
};

class CUDAStreamGuard {
 public:
  explicit CUDAStreamGuard(const CUDAStream& stream)
      : before_(emulation::set_current_stream(stream.id())) {}
  CUDAStreamGuard(const CUDAStreamGuard&) = delete;
  ~CUDAStreamGuard() { emulation::set_current_stream(before_); }

 private:
  emulation::StreamId before_;
};

}  // namespace c10::cuda
