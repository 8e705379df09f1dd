// Puzzles in text files: which column of a line holds what, and its 81 characters as a grid.
//
// `data convert sudoku-csv` and `sample --puzzle` read the same files by these functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/sudoku/sudoku_grid.h"
#include "data/text_rows.h"

namespace lockstep {

// Which fields hold what; no solution column: −1.
struct SudokuColumns {
  int puzzle = 0, solution = -1;
  bool header = false;  // the first line names the columns
  char separator = ',';
  std::vector<std::string> others;  // columns that are not used
};

// The columns by a file's first line: lines of cells, or a header that names `puzzle`, `quiz` or
// `question` (and maybe `solution` or `answer`), each also in the plural and in capitals. nullopt
// if it is neither.
std::optional<SudokuColumns> sudoku_columns(const TextRow& first);

// What is wrong with a line, thrown while it is parsed. `kind` is the same for equal faults.
struct BadLine {
  int column;
  std::string why;
  std::string kind;
};

bool is_sudoku_cell(char c);  // 0–9 or '.'

// The cells of a field. `what` names the field in messages. Throws BadLine for other characters,
// another number of cells, or blank cells where `blanks` is false.
Grid parse_sudoku_cells(const CsvField& field, const char* what, bool blanks);

}  // namespace lockstep
