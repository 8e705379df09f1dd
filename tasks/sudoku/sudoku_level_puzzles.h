// Held-out puzzles by level, for evaluations that solve them.
#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"
#include "tasks/sudoku/sudoku_masks.h"

namespace lockstep {

struct LevelPuzzle {
  size_t level;  // index into the levels asked for
  SudokuBoard puzzle, solution;
};

// The first `puzzles` puzzles of each of `levels` (names of kSudokuLevels), level by level. Throws
// ConfigError if the data have fewer or no puzzles at all.
std::vector<LevelPuzzle> puzzles_by_level(const Dataset& data,
                                          const std::vector<std::string>& levels, int64_t puzzles);

// Index into kSudokuLevels. Throws ConfigError for an unknown name.
int sudoku_level(const std::string& name);

// Row `row` of a u8 tensor with 81 columns.
SudokuBoard board_at(const at::Tensor& boards, int64_t row);

}  // namespace lockstep
