// Values of tensors, kept so that they can be put back: what a trial changes.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

namespace lockstep {

class KeptValues {
 public:
  // Copies them, on the current queue of their device.
  explicit KeptValues(std::vector<at::Tensor> tensors);
  // Likewise.
  void put_back() const;

 private:
  std::vector<at::Tensor> tensors_, values_;
};

}  // namespace lockstep
