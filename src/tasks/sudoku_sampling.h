// Drawing grids from nothing: one cell a pass, its digit drawn from the network's distribution.
//
// Any order of cells gives samples of the model (it is an any-order autoregressive model: Uria et
// al., ICML 2014, arXiv:1310.1757); taking the most confident cell next leaves the doubtful ones
// until much is known, and more grids come out valid.
#pragma once

#include <string>
#include <vector>

#include "tasks/sudoku_decode.h"

namespace lockstep {

enum class SudokuSamplingOrder { kConfident, kRandom };

// `count` grids after 81 passes each; grid i is drawn by (seed, first_id + i) alone. Up to `batch`
// grids share a forward pass.
std::vector<SudokuBoard> sample_sudokus(const SudokuPredict& predict, int64_t count, uint64_t seed, uint64_t first_id,
                                        SudokuSamplingOrder order, int64_t batch = 64);

}  // namespace lockstep
