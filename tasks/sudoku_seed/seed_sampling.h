// Drawing grids with the seed's network: at each step a position by chance, then the likeliest
// digit.
//
// As in the seed, the digit is the arg max over ten classes, class 0 included (the cell then stays
// masked and may come up again), and it is chosen without knowing the cell: both heads see only the
// grid. 81 passes a grid. The numbers come from a Philox stream, so grid i is the same in any
// batch.
#pragma once

#include <vector>

#include "models/sudoku/seed_conv.h"
#include "tasks/sudoku_seed/seed_states.h"
#include "tasks/task.h"

namespace lockstep {

// Goes on from `starts` (zeros: from nothing), each until step 80 from as many steps as it has
// digits. Grid i is drawn by (seed, first_id + i). Up to `batch` grids share a forward pass.
std::vector<Grid> sample_seed(const SeedConv& model, std::vector<Grid> starts, uint64_t seed,
                              uint64_t first_id, int64_t batch = 64);

// The seed's check: no digit twice in a row, column or box; masked cells pass, even an empty grid
// does. The strict one is is_solved_grid (data/sudoku/sudoku_grid.h).
bool passes_seed_check(const Grid& grid);

// `lockstep sample`: `request.count` grids, one line of 81 digits each (0 = still masked).
void sample_seed_grids(const SeedConv& model, const SampleRequest& request);
// `lockstep sample --puzzle`: one line a puzzle, in order; givens are kept.
void complete_seed_puzzles(const SeedConv& model, const SampleRequest& request);

}  // namespace lockstep
