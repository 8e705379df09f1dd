// Solved Sudoku grids. `solution` u8 [81] of digits 1–9, row by row; optional `puzzle` u8 [81] with
// 0 for blank; optional `order` u8 [81], in which cells are revealed; optional `level` and `givens`
// u8 per puzzle (data/sudoku_levels.h).
#pragma once

#include <memory>

#include "data/shards/arrays_dataset.h"

namespace lockstep {

// Throws DataError if the shards are of another kind or their arrays have other shapes. read()
// throws DataError if a cell is out of range; check_samples() also for a grid that breaks a rule
// and a puzzle that is no part of its solution.
std::unique_ptr<Dataset> make_grids_dataset(const ShardList& list, const ArraysOptions& options);

}  // namespace lockstep
