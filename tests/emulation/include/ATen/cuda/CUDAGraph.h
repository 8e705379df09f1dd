// Stands in for LibTorch's header of that name (tests/emulation/gpu).
#pragma once

#include <utility>

#include <c10/cuda/CUDAStream.h>

enum cudaStreamCaptureMode {
  cudaStreamCaptureModeGlobal,
  cudaStreamCaptureModeThreadLocal,
  cudaStreamCaptureModeRelaxed
};

namespace at::cuda {

using MempoolId_t = std::pair<unsigned long long, unsigned long long>;
inline MempoolId_t graph_pool_handle() { return {0, 1}; }

class CUDAGraph {
 public:
  void capture_begin(MempoolId_t, cudaStreamCaptureMode) {
    emulation::begin_recording(emulation::current_stream());
  }
  void capture_end() { recording_ = emulation::end_recording(); }
  void replay() { emulation::replay(recording_, emulation::current_stream()); }

 private:
  emulation::Recording recording_;
};

}  // namespace at::cuda
