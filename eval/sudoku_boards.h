// Sudoku boards as pictures: what was given, what was filled in, what is wrong.
#pragma once

#include <string>
#include <vector>

#include "data/sudoku/sudoku_grid.h"
#include "eval/png_file.h"

namespace lockstep {

struct DrawnBoard {
  std::string caption;               // short: a board is 31 characters wide
  Grid given{};                      // 0 where nothing was given
  Grid shown{};                      // all digits to draw, 0 = blank
  std::array<bool, kCells> wrong{};  // drawn on red
};

// Boards that belong together, under a heading.
struct BoardGroup {
  std::string heading;
  std::vector<DrawnBoard> boards;
};

// Groups from top to bottom, their boards from left to right, at most `columns` in a line. Given
// digits are black on grey, filled ones blue, wrong ones white on red.
Picture draw_sudoku_boards(const std::vector<BoardGroup>& groups, int columns = 4);

}  // namespace lockstep
