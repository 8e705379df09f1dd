// A named range of host code that Nsight shows above the kernels it queued: NVTX, in the CUDA
// plug-in.
#pragma once

namespace lockstep {

// Does nothing unless `on` and the CUDA plug-in is open. Ranges of a thread nest.
class DeviceRange {
 public:
  explicit DeviceRange(const char* name, bool on = true);
  ~DeviceRange();
  DeviceRange(const DeviceRange&) = delete;
  DeviceRange& operator=(const DeviceRange&) = delete;

 private:
  const bool on_;
};

}  // namespace lockstep
