// The fused kernel as operations on tensors.
#pragma once

#include "models/sudoku_net.h"

namespace lockstep {

// The kernel for these options on this CPU (kernel_isa.h), or null.
const SudokuKernel* find_fused_sudoku(const SudokuNetOptions& options);

// cells u8 [B,81] → logits float32 [B,81,9], without a graph.
at::Tensor fused_sudoku_logits(const SudokuKernel& kernel, const NamedTensors& parameters,
                               const SudokuNetOptions& options, const at::Tensor& cells);

// MaskedGridModel::loss_sum. Forward already computes the gradients, puzzle by puzzle while its
// states are in the cache; backward only scales them. A puzzle's gradient is complete before it
// is added, and they are added in the order of the batch.
at::Tensor fused_sudoku_loss(const SudokuKernel& kernel, const NamedTensors& parameters,
                             const SudokuNetOptions& options, const at::Tensor& cells, const at::Tensor& targets);

}  // namespace lockstep
