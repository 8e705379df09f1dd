// The fused kernel as operations on tensors.
#pragma once

#include <memory>
#include <vector>

#include "models/sudoku/sudoku_packing.h"

namespace lockstep {

// One network's kernel and its packed weights' places. Thread-safe: calls share nothing but
// constants.
class FusedSudoku {
 public:
  // Null if there is no kernel for these options on this CPU (kernel_isa.h).
  static std::unique_ptr<FusedSudoku> find(const SudokuNetOptions& options);

  const char* isa() const { return kernel_->isa; }

  // cells u8 [B,81] → logits float32 [B,81,9], without a graph.
  at::Tensor logits(const NamedTensors& parameters, const at::Tensor& cells) const;

  // MaskedGridModel::loss_sum. Forward already computes the gradients, puzzle by puzzle while its
  // states are in the cache; backward only scales them. A puzzle's gradient is complete before it
  // is added, and they are added in the order of the batch.
  at::Tensor loss_sum(const NamedTensors& parameters, const at::Tensor& cells,
                      const at::Tensor& targets) const;

 private:
  FusedSudoku(const SudokuKernel& kernel, const SudokuNetOptions& options);
  at::Tensor pack(const NamedTensors& parameters) const;

  const SudokuKernel* kernel_;
  SudokuLayout layout_;
  std::shared_ptr<const std::vector<PackedParameter>> packing_;  // graphs may outlive the network
  uint64_t depths_ = 0;                                          // bit k−1: loss after iteration k
};

}  // namespace lockstep
