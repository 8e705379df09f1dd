// Boards and networks for the tests of the Sudoku network.
#pragma once

#include <vector>

#include <ATen/ATen.h>

#include "core/philox.h"
#include "models/sudoku/sudoku_net.h"

namespace lockstep::testing {

// Solved grids with `hidden(b)` random cells hidden: cells and targets, u8 [count, 81].
struct Boards {
  at::Tensor cells, targets;
};

inline Boards make_boards(int64_t count, uint64_t seed) {
  Boards boards{at::zeros({count, 81}, at::kByte), at::zeros({count, 81}, at::kByte)};
  const Stream stream(seed, Purpose::kTest);
  for (int64_t b = 0; b < count; ++b) {
    const uint32_t shift = stream.below(uint64_t(b), 0, 0, 9),
                   hidden = 10 + stream.below(uint64_t(b), 0, 1, 60);
    for (uint32_t cell = 0; cell < 81; ++cell) {
      const uint32_t row = cell / 9, column = cell % 9;
      const auto digit = uint8_t(1 + (3 * row + row / 3 + column + shift) % 9);  // the cyclic grid
      const bool hide = stream.below(uint64_t(b), 1, cell, 81) < hidden;
      (hide ? boards.targets : boards.cells)[b][cell] = digit;
    }
  }
  return boards;
}

// A network with all its parameters away from their initial values (the last layers start at 0).
inline std::unique_ptr<SudokuNet> make_random_net(SudokuNetOptions options, uint64_t seed = 3) {
  auto net = std::make_unique<SudokuNet>(options, seed);
  const at::NoGradGuard no_grad;
  const Stream stream(seed, Purpose::kTest);
  uint64_t id = 0;
  for (const NamedTensor& parameter : net->parameters()) {
    at::Tensor flat = parameter.tensor.view({-1});
    for (int64_t i = 0; i < flat.numel(); ++i) flat[i] += 0.15 * stream.normal(id, 0, uint64_t(i));
    ++id;
  }
  return net;
}

// Gradients of `loss` for all parameters, in their order.
inline std::vector<at::Tensor> gradients_of(const at::Tensor& loss,
                                            const NamedTensors& parameters) {
  std::vector<at::Tensor> leaves;
  for (const NamedTensor& parameter : parameters) leaves.push_back(parameter.tensor);
  return torch::autograd::grad({loss}, leaves);
}

}  // namespace lockstep::testing
