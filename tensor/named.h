// Named tensors: what checkpoints, optimizers and `forward` exchange.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

namespace lockstep {

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};
using NamedTensors = std::vector<NamedTensor>;

// The tensor called `name`, or nullptr.
inline const at::Tensor* find_tensor(const NamedTensors& tensors, const std::string& name) {
  for (const NamedTensor& entry : tensors)
    if (entry.name == name) return &entry.tensor;
  return nullptr;
}

}  // namespace lockstep
