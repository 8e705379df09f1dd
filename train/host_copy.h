// Copies a device's tensors to host memory while training goes on. The copies run on a queue of
// their own, into pinned memory. They are cut into slices, so that small copies of the training,
// such as a step's inputs, get in between.
#pragma once

#include <memory>

#include "tensor/device.h"
#include "tensor/named.h"

namespace lockstep {

constexpr int64_t kCopySlice = int64_t{32} << 20;  // bytes

class HostCopies {
 public:
  explicit HostCopies(Device& device);

  // Queues copies of `tensors` and returns them, shaped alike, on the host. Their values are there
  // once done() is reached. Tensors that share memory are copied together, once. Call
  // Device::synchronize first: work on other queues must be complete.
  NamedTensors take(const NamedTensors& tensors);
  // The end of all copies so far; null if there were none. Wait for it before changing the tensors.
  std::shared_ptr<const DeviceMark> done() const { return done_; }

 private:
  at::Tensor copy_memory(const at::Tensor& flat);

  Device& device_;
  std::unique_ptr<DeviceQueue> queue_;
  std::shared_ptr<const DeviceMark> done_;
};

}  // namespace lockstep
