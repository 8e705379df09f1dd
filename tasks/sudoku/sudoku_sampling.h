// Drawing grids from nothing: digits drawn from the network's distribution, cell by cell.
//
// Any order of cells gives samples of the model (it is an any-order autoregressive model: Uria et
// al., ICML 2014, arXiv:1310.1757), but not all orders forgive errors alike. `doubtful`: a pass
// draws all cells that are as good as certain (p > 0.9995), else the most doubtful cell with two
// digits left, as the decoder guesses (sudoku_decode.h); every choice is then made while both
// answers can still be completed. `confident`: always the cell with the largest p. `random`: by
// chance.
#pragma once

#include <vector>

#include "tasks/sudoku/sudoku_decode.h"

namespace lockstep {

enum class SudokuSamplingOrder { kDoubtful, kConfident, kRandom };

// `count` grids, at most 81 passes each; grid i is drawn by (seed, first_id + i) alone. Up to
// `batch` grids share a forward pass.
std::vector<SudokuBoard> sample_sudokus(const SudokuPredict& predict, int64_t count, uint64_t seed,
                                        uint64_t first_id, SudokuSamplingOrder order,
                                        int64_t batch = 64);

}  // namespace lockstep
