// The Sudoku network: recurrent, and equal under renaming of digits, by construction.
//
// The state has C channels at each of 81 cells × 9 digits. Nothing knows which digit or which
// place a channel belongs to: the input says only whether the cell is this digit, another one or
// hidden, and all mixing goes through the four kinds of units that Sudoku has (row, column, box,
// the nine digits of a cell) as log-sum-exp, a soft maximum. So renaming digits or permuting rows
// within a band permutes the output alike (a test checks it), and few weights suffice: 7,041 with
// the defaults. Blocks are repeated (A, B, A, B …) for `iterations` steps, like the
// recurrent relational networks of Palm et al., NeurIPS 2018, arXiv:1711.08028.
//
// Two ways to compute it. `reference`: tensor operations, any dtype, autocast, differentiable.
// `fused`: sudoku_kernel.h, float32 on CPUs with AVX2, several times faster. `auto` takes the
// fused one where it exists: a CPU with AVX2 and FMA, 16 or 32 channels, hidden ≤ 64 (rounded up to
// a multiple of 16); under autocast (precision.compute: bf16) both `auto` and `fused` use the
// reference.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "models/masked_grid_model.h"
#include "models/sudoku/sudoku_options.h"

namespace lockstep {

class FusedSudoku;

class SudokuNet : public MaskedGridModel {
 public:
  // Linear layers start as PyTorch's (uniform ±1/√inputs), the last one of each block at zero.
  // Throws ConfigError for options that do not fit together.
  SudokuNet(const SudokuNetOptions& options, uint64_t seed);
  ~SudokuNet() override;

  // Fused without gradients; with gradients on, the reference.
  at::Tensor logits(const at::Tensor& cells) override;
  // Averaged over loss_depths.
  at::Tensor loss_sum(const at::Tensor& cells, const at::Tensor& targets) override;

  const SudokuNetOptions& options() const { return options_; }
  // Instruction set of the fused kernel that is used outside of autocast, or "reference".
  const char* computed_by() const;

 private:
  SudokuNetOptions options_;
  std::unique_ptr<FusedSudoku> fused_;
};

// --- the pieces, for tests and other implementations ---

// Logits after each of `depths` iterations, by tensor operations in the parameters' dtype.
std::vector<at::Tensor> sudoku_reference_logits(const NamedTensors& parameters,
                                                const SudokuNetOptions& options,
                                                const at::Tensor& cells,
                                                const std::vector<int64_t>& depths);
// The training loss out of such logits.
at::Tensor sudoku_reference_loss(const std::vector<at::Tensor>& logits, const at::Tensor& targets);

}  // namespace lockstep
