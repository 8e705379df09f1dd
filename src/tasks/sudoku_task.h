// Sudoku by masked diffusion: the network sees a grid with hidden cells and predicts a digit
// distribution for each of them.
//
// Masked (absorbing-state) discrete diffusion: Austin et al., NeurIPS 2021, arXiv:2107.03006; the
// loss over uniformly many hidden cells is the any-order likelihood, Sahoo et al., NeurIPS 2024,
// arXiv:2406.07524. What is hidden: sudoku_masks.h. Solving: sudoku_decode.h.
#pragma once

#include <memory>

#include "models/models.h"
#include "tasks/sudoku_masks.h"
#include "tasks/task.h"

namespace lockstep {

struct SudokuTaskOptions {
  std::string objective = "masked";
  Choice model{masked_grid_models(), "sudoku_net"};
  SudokuMaskOptions masks;

  void fields(FieldVisitor& visit) {
    visit("objective", objective, OneOf{{"masked"}}, "masked: a digit for each hidden cell");
    visit("model", model, "the network");
    visit("masks", masks, "what training hides");
  }
};

// The datasets have `solution` u8 [81] and, unless masks.uniform_share is 1, `puzzle` u8 [81].
//
// Loss::sum is the sum over samples of the mean cross-entropy over their hidden cells (averaged
// over the model's loss_depths), Loss::count the number of samples that are no padding.
// forward(): `cells` [B,81] (0 = hidden) and optionally `solution` [B,81] → `logits` [B,81,9] and
// `loss`, the mean over the batch of the mean cross-entropy over the hidden cells after the last
// iteration; a grid without hidden cells counts as 0.
std::unique_ptr<Task> make_sudoku_task(const SudokuTaskOptions& options);

}  // namespace lockstep
