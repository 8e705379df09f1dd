#include "data/sudoku/sudoku_grid.h"

#include <algorithm>

namespace lockstep {

bool is_solved_grid(const uint8_t* grid) {
  uint16_t rows[9] = {}, columns[9] = {}, boxes[9] = {};
  for (int cell = 0; cell < 81; ++cell) {
    if (grid[cell] < 1 || grid[cell] > 9) return false;
    const auto bit = static_cast<uint16_t>(1 << grid[cell]);
    const int row = cell / 9, column = cell % 9;
    rows[row] |= bit;
    columns[column] |= bit;
    boxes[row / 3 * 3 + column / 3] |= bit;
  }
  constexpr uint16_t kAll = 0x3FE;
  for (int unit = 0; unit < 9; ++unit)
    if (rows[unit] != kAll || columns[unit] != kAll || boxes[unit] != kAll) return false;
  return true;
}

bool is_part_of(const uint8_t* puzzle, const uint8_t* solution) {
  for (int cell = 0; cell < 81; ++cell)
    if (puzzle[cell] != 0 && puzzle[cell] != solution[cell]) return false;
  return true;
}

int count_givens(const uint8_t* puzzle) {
  return static_cast<int>(81 - std::count(puzzle, puzzle + 81, uint8_t{0}));
}

int level_of_givens(int givens) {
  int level = 0;
  while (givens < kSudokuLevels[level].fewest) ++level;
  return level;
}

std::string grid_text(const uint8_t* grid) {
  std::string text(81, '.');
  for (size_t cell = 0; cell < 81; ++cell)
    if (grid[cell] != 0) text[cell] = static_cast<char>('0' + grid[cell]);
  return text;
}

std::string draw_grid(const uint8_t* grid) {
  const std::string cells = grid_text(grid);
  std::string text;
  for (size_t row = 0; row < 9; ++row) {
    if (row == 3 || row == 6) text += "------+-------+------\n";
    for (size_t column = 0; column < 9; ++column) {
      if (column == 3 || column == 6) text += "| ";
      text += cells[9 * row + column];
      text += column == 8 ? '\n' : ' ';
    }
  }
  return text;
}

Grid relabelled(const Grid& grid) {
  const auto rename = [](const Grid& from) {
    uint8_t names[10] = {};
    for (uint8_t column = 0; column < 9; ++column)
      names[from[column]] = static_cast<uint8_t>(column + 1);
    Grid to;
    for (size_t cell = 0; cell < 81; ++cell) to[cell] = names[from[cell]];
    return to;
  };
  Grid transposed;
  for (size_t cell = 0; cell < 81; ++cell) transposed[cell] = grid[cell % 9 * 9 + cell / 9];
  return std::min(rename(grid), rename(transposed));
}

}  // namespace lockstep
