// Stands in for LibTorch's header of that name (tests/emulation/gpu).
#pragma once

#include <c10/cuda/CUDAStream.h>

constexpr unsigned cudaEventDefault = 0, cudaEventBlockingSync = 1, cudaEventDisableTiming = 2;

namespace at::cuda {

class CUDAEvent {
 public:
  explicit CUDAEvent(unsigned flags = cudaEventDisableTiming)
      : timed_((flags & cudaEventDisableTiming) == 0) {}
  void record(const c10::cuda::CUDAStream& stream) { emulation::record_event(event_, stream.id()); }
  void block(const c10::cuda::CUDAStream& stream) const {
    emulation::wait_for_event(stream.id(), event_);
  }
  bool query() const { return emulation::event_reached(event_); }
  void synchronize() const { emulation::host_waits_for_event(event_); }
  float elapsed_time(const CUDAEvent& later) const {
    TORCH_CHECK(timed_ && later.timed_,
                "both events must be created with argument 'enable_timing=True'");
    return static_cast<float>((later.event_.seconds - event_.seconds) * 1e3);
  }

 private:
  emulation::Event event_;
  bool timed_;
};

}  // namespace at::cuda
