// The inputs of `optimize`, checked.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/named.h"

namespace lockstep {

struct OptimizeInputs {
  NamedTensors parameters;                         // without "param.", in input order
  std::vector<std::vector<at::Tensor>> gradients;  // [step][parameter]
  std::vector<float> found_inf, scale;             // per step; empty: not given
};

// Throws DataError naming the tensor and, for a wrong shape, both shapes.
OptimizeInputs read_optimize_inputs(const NamedTensors& inputs);

}  // namespace lockstep
