// Sudoku grids as 81 bytes, row by row: 1–9, 0 = blank.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace lockstep {

inline constexpr int64_t kCells = 81;
using Grid = std::array<uint8_t, 81>;

// Every row, column and box holds each of 1–9 once.
bool is_solved_grid(const uint8_t* grid);
// Every given of `puzzle` is the digit of `solution` there.
bool is_part_of(const uint8_t* puzzle, const uint8_t* solution);
int count_givens(const uint8_t* puzzle);

// Levels by number of givens, the easiest first. A level is nothing but that number: 17 givens are
// the fewest with which a puzzle has one solution (McGuire, Tugemann & Civario, "There is no
// 16-Clue Sudoku", Experimental Mathematics 2014).
struct SudokuLevel {
  const char* name;
  int fewest, most;  // givens
};
inline constexpr SudokuLevel kSudokuLevels[] = {{"easy", 36, 81},
                                                {"medium", 31, 35},
                                                {"hard", 26, 30},
                                                {"minimal", 22, 25},
                                                {"extreme", 0, 21}};
inline constexpr int kNumSudokuLevels = 5;
// Index into kSudokuLevels.
int level_of_givens(int givens);

// "81 characters", '.' for blank.
std::string grid_text(const uint8_t* grid);
// Nine lines with rules between boxes, for a terminal.
std::string draw_grid(const uint8_t* grid);

// The smallest of the grids that arise from solved `grid` by renaming digits (first row 1 … 9) and
// transposing: equal for two grids that are the same puzzle to the eye. Band, stack, row and column
// shuffles are left out: two random grids meet up to all of them with probability 2e-10.
Grid relabelled(const Grid& grid);

}  // namespace lockstep
