// The loss of the seed objective, its accuracies, and the bound that no network can beat on fresh
// data.
//
// The revealed cell is drawn uniformly from the m = 81 - t masked ones and the value head is not
// told which, so the best predictor knows nothing better than 1/m for the position and the share of
// each digit among the masked cells for the value: 5.570 nats a step at k_max = 3. A training loss
// below that is memory of stored orders.
#pragma once

#include "models/sudoku/seed_conv.h"
#include "tasks/sudoku_seed/seed_states.h"

namespace lockstep {

// Position logits with the cells that are revealed already at -inf.
at::Tensor masked_positions(const at::Tensor& position_logits, const at::Tensor& cells);

struct SeedLoss {
  at::Tensor position,
      value;  // sums of cross-entropies over all states, float32 scalars with a graph
  at::Tensor correct_positions, correct_values;  // i64 scalars
  at::Tensor sum() const { return position + value; }
};
SeedLoss seed_loss(const SeedLogits& logits, const SeedStates& states);

// Logits of the best possible predictor for `cells` u8 [N,81]: uniform over masked cells, and the
// log of how many of the nine copies of a digit are missing.
SeedLogits best_seed_logits(const at::Tensor& cells);

// The bound in expectation over orders and windows, in closed form: the mean over the seed's
// distribution of states of ln m plus missing_digit_entropy(m), m = 81 - t. The same for all grids,
// as each holds every digit nine times.
double seed_floor(int64_t k_max);
// Mean entropy, in nats, of the digit of a random one of the m masked cells if it is known how
// often each digit is missing: that number is hypergeometric, nine among 81 cells of which m are
// masked.
double missing_digit_entropy(int64_t m);

}  // namespace lockstep
