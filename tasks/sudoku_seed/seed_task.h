// Sudoku by the seed's objective: which cell is revealed next, and with which digit.
//
// Loss: sum of cross-entropies of position and value over the steps of a sample's window, divided
// by ΣK (seed_states.h, seed_loss.h). Its floor on fresh data is information-theoretic;
// docs/sudoku.md compares it with masked diffusion.
#pragma once

#include <memory>

#include "models/sudoku/seed_conv.h"
#include "tasks/sudoku/sudoku_task.h"

namespace lockstep {

// The datasets have `solution` u8 [81] and, unless sequence.order is fresh, `order` u8 [81].
//
// Loss::sum is the sum over all steps, Loss::count is ΣK, accuracy counts positions and values
// alike. forward(): `grid` [B,9,9] and `t` [B] → raw `position_logits` [B,81] and `value_logits`
// [B,10]. With `sequences` [B,82,9,9], `start` [B] and `count` [B] also `loss`; then `t` may be
// absent (= start), and `grid` too (= the sequences' states at start).
std::unique_ptr<Task> make_seed_task(const SudokuTaskOptions& options);

// The model as what this task trains. Throws ConfigError for a network of another objective.
SeedConv& as_seed_conv(Model& model);

}  // namespace lockstep
