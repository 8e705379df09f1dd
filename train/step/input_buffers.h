// Brings a step's inputs to the device. All tensors of a step lie in one buffer, which is filled in
// pinned memory and copied at once, on a queue of its own, while the step before computes.
//
// A recorded step reads its inputs at fixed places, so each shape has one buffer on the device. Two
// more buffers take turns in receiving the copies.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tasks/task.h"
#include "tensor/device.h"

namespace lockstep {

// Where the tensors of a step lie in its buffer. A pure function of their shapes.
struct InputLayout {
  static constexpr int64_t kAlign = 256;  // bytes

  struct Entry {
    std::string name;
    at::ScalarType dtype;
    std::vector<int64_t> shape;
    int64_t offset = 0;  // bytes
  };
  std::vector<std::vector<Entry>> micro_batches;
  int64_t bytes = 0;
  std::string key;  // equal for equal layouts: "cells u8 16x81 …"

  static InputLayout of(const std::vector<LossInputs>& micro_batches);
  // The tensors, as views of `buffer` u8 [bytes].
  std::vector<LossInputs> views(const at::Tensor& buffer) const;
};

class InputBuffers {
 public:
  InputBuffers(Device& device, DeviceQueue& compute);

  // Brings the inputs of a step to the device: the copy runs beside the compute queue's work, which
  // then moves them to their shape's fixed place. Returns that place's tensors; the numbers `count`
  // and `guesses` stay on the host.
  const std::vector<LossInputs>& bring(const InputLayout& layout,
                                       const std::vector<LossInputs>& micro_batches);

 private:
  struct Landing {
    at::Tensor host, device;                             // u8
    std::unique_ptr<DeviceMark> copied, free_on_device;  // last copy; last read of `device`
  };
  struct Place {
    at::Tensor buffer;
    std::vector<LossInputs> tensors;
  };
  Landing& landing(int64_t bytes);

  Device& device_;
  DeviceQueue& compute_;
  std::unique_ptr<DeviceQueue> copies_;
  std::array<Landing, 2> landings_;
  size_t turn_ = 0;
  std::map<std::string, Place> places_;
};

}  // namespace lockstep
