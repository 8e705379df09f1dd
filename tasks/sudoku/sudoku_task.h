// Sudoku by one of two objectives.
//
// `masked`, masked diffusion: the network sees a grid with hidden cells and predicts a digit
// distribution for each of them. `seed`: it is asked which cell is revealed next, and with which
// digit (seed_task.h).
//
// Masked (absorbing-state) discrete diffusion: Austin et al., NeurIPS 2021, arXiv:2107.03006; the
// loss over uniformly many hidden cells is the any-order likelihood, Sahoo et al., NeurIPS 2024,
// arXiv:2406.07524. What is hidden: sudoku_masks.h. Solving: sudoku_decode.h.
#pragma once

#include <memory>

#include "models/models.h"
#include "tasks/sudoku/sudoku_masks.h"
#include "tasks/sudoku_seed/seed_states.h"
#include "tasks/task.h"

namespace lockstep {

struct SudokuTaskOptions {
  std::string objective = "masked";
  Choice model{sudoku_models(), "sudoku_net"};
  SudokuMaskOptions masks;
  int64_t k_max = 5;
  SeedSequenceOptions sequence;

  void fields(FieldVisitor& visit) {
    visit("objective", objective, OneOf{{"masked", "seed"}},
          "masked: a digit for each hidden cell; seed: the next cell and its digit");
    visit("model", model, "the network");
    visit("masks", masks, "objective masked: what training hides");
    visit("k_max", k_max, Range{1, kCells}, "objective seed: most steps a sample is trained on");
    visit("sequence", sequence, "objective seed: which sequences training sees");
  }
};

// The datasets have `solution` u8 [81] and, unless masks.uniform_share is 1, `puzzle` u8 [81].
//
// Loss::sum is the sum over samples of the mean cross-entropy over their hidden cells (averaged
// over the model's loss_depths), Loss::count the number of samples that are no padding.
// forward(): `cells` [B,81] (0 = hidden) and optionally `solution` [B,81] → `logits` [B,81,9] and
// `loss`, the mean over the batch of the mean cross-entropy over the hidden cells after the last
// iteration; a grid without hidden cells counts as 0.
// With objective seed: make_seed_task.
std::unique_ptr<Task> make_sudoku_task(const SudokuTaskOptions& options);

}  // namespace lockstep
