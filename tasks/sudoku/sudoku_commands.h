// `lockstep sample` for Sudoku: solves the user's puzzles, or draws grids from nothing.
#pragma once

#include "tasks/sudoku/sudoku_decode.h"
#include "tasks/task.h"

namespace lockstep {

// --puzzle P|FILE: what to complete; without it grids are drawn from nothing. --board: boards as
// text on stderr as well.
inline std::vector<SampleFlag> sudoku_sample_flags() {
  return {{"--puzzle", true}, {"--board", false}};
}

// Whether --puzzle is given. Throws DataError if it is empty, ConfigError for an --output that is
// no .png.
bool asks_for_puzzles(const SampleRequest& request);

// One solved line of 81 digits a puzzle, in order; a picture and boards as text if asked. What the
// network could not settle is said in the log. Throws DataError for an unfit puzzle.
void solve_puzzles(const SudokuPredict& predict, const SampleRequest& request);
// `request.count` grids, one line each. Throws ConfigError if that is below 1.
void sample_grids(const SudokuPredict& predict, const SampleRequest& request);

}  // namespace lockstep
