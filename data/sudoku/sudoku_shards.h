// Puzzles with their solutions on the way into shards of kind `grids`.
#pragma once

#include <string>
#include <vector>

#include "data/shards/dataset_writer.h"
#include "data/sudoku/sudoku_grid.h"

namespace lockstep {

struct SudokuSample {
  Grid solution, puzzle;
};

// solution u8 [81], puzzle u8 [81], level u8, givens u8.
std::vector<ArrayInfo> sudoku_arrays();

// Writes samples [first, last) as one shard.
void add_sudoku_shard(DatasetWriter& writer, const std::string& file, const SudokuSample* first,
                      const SudokuSample* last);

}  // namespace lockstep
