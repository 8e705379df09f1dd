// Between the model's parameters and the kernel's packed weights.
#pragma once

#include <string>
#include <vector>

#include "models/sudoku/sudoku_kernel.h"
#include "models/sudoku/sudoku_options.h"
#include "tensor/named.h"

namespace lockstep {

// Element (o, i) of a parameter [outputs][inputs] lies at offset + o·output_stride +
// i·input_stride.
struct PackedPlace {
  int64_t offset, output_stride, input_stride;
};

// Where one parameter goes. A packed weight is the sum of the parameters placed there; a
// parameter's gradient is the sum of the packed gradients at its gradient places.
struct PackedParameter {
  std::string name;
  std::vector<int64_t> shape;
  int64_t outputs, inputs;
  std::vector<PackedPlace> weights, gradients;
};

// The kernel's sizes: channels as they are, hidden rounded up to whole vectors.
SudokuShape sudoku_shape(const SudokuNetOptions& options);
// All parameters, in the model's order.
std::vector<PackedParameter> sudoku_packing(const SudokuNetOptions& options,
                                            const SudokuLayout& layout);

// `packed` has layout.size floats and is overwritten.
void pack_weights(const std::vector<PackedParameter>& packing, const NamedTensors& parameters,
                  float* packed, int64_t size);
// The gradients times `factor`: one contiguous tensor per parameter.
std::vector<at::Tensor> unpack_gradients(const std::vector<PackedParameter>& packing,
                                         const float* packed, float factor);

}  // namespace lockstep
