// Brings tensors of a device to host memory while training goes on: on a queue of its own, into
// pinned memory, in slices, so that small copies of the training, such as the inputs of a step, get
// in between.
#pragma once

#include <memory>

#include "tensor/device.h"
#include "tensor/named.h"

namespace lockstep {

constexpr int64_t kCopySlice = int64_t{32} << 20;  // bytes

class HostCopies {
 public:
  explicit HostCopies(Device& device);

  // Copies of `tensors` on the host, shaped alike; tensors that share memory are copied once,
  // together. Their values are there once `done()` is reached. What is queued elsewhere must be
  // complete (Device::synchronize).
  NamedTensors take(const NamedTensors& tensors);
  // The end of all copies so far; null if there were none. Whoever changes the tensors waits for
  // it.
  std::shared_ptr<const DeviceMark> done() const { return done_; }

 private:
  at::Tensor copy_memory(const at::Tensor& flat);

  Device& device_;
  std::unique_ptr<DeviceQueue> queue_;
  std::shared_ptr<const DeviceMark> done_;
};

}  // namespace lockstep
