// Puzzles as people write them: 81 characters, `.` or `0` blank.
#pragma once

#include <string>
#include <vector>

#include "tasks/sudoku/sudoku_masks.h"

namespace lockstep {

// `text` is a puzzle or the path of a file or pipe: one puzzle a line, or a table as `data convert
// sudoku-csv` reads it, of which the puzzles are taken. Empty lines and lines that start with # are
// skipped. Throws DataError naming the line and column of what does not fit.
std::vector<SudokuBoard> read_sudoku_puzzles(const std::string& text);

// Cells whose digit stands once more in their row, column or box.
std::array<bool, kCells> sudoku_conflicts(const SudokuBoard& board);

}  // namespace lockstep
