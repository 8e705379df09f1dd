#include "data/sudoku/sudoku_puzzles.h"

#include <algorithm>
#include <bit>
#include <bitset>
#include <numeric>
#include <vector>

#include "data/sudoku/sudoku_solver.h"

namespace lockstep {
namespace {

// The digits that each unit already has, as bits 0–8.
struct Used {
  uint16_t rows[9] = {}, columns[9] = {}, boxes[9] = {};

  unsigned free(int cell) const {
    const int row = cell / 9, column = cell % 9;
    return 0x1FFu &
           ~static_cast<unsigned>(rows[row] | columns[column] | boxes[row / 3 * 3 + column / 3]);
  }
  void flip(int cell, unsigned bit) {
    const int row = cell / 9, column = cell % 9;
    rows[row] = static_cast<uint16_t>(rows[row] ^ bit);
    columns[column] = static_cast<uint16_t>(columns[column] ^ bit);
    boxes[row / 3 * 3 + column / 3] = static_cast<uint16_t>(boxes[row / 3 * 3 + column / 3] ^ bit);
  }
};

bool fill(Grid& grid, Used& used, Draws& draws) {
  int best = -1, fewest = 10;
  for (int cell = 0; cell < 81 && fewest > 1; ++cell) {
    if (grid[static_cast<size_t>(cell)] != 0) continue;
    const int candidates = std::popcount(used.free(cell));
    if (candidates < fewest) best = cell, fewest = candidates;
  }
  if (best < 0) return true;
  if (fewest == 0) return false;
  int digits[9], count = 0;
  for (unsigned left = used.free(best); left != 0; left &= left - 1)
    digits[count++] = std::countr_zero(left);
  draws.shuffle(digits, digits + count);
  for (int i = 0; i < count; ++i) {
    used.flip(best, 1u << digits[i]);
    grid[static_cast<size_t>(best)] = static_cast<uint8_t>(digits[i] + 1);
    if (fill(grid, used, draws)) return true;
    grid[static_cast<size_t>(best)] = 0;
    used.flip(best, 1u << digits[i]);
  }
  return false;
}

std::vector<size_t> shuffled_givens(const Grid& puzzle, Draws& draws) {
  std::vector<size_t> cells;
  for (size_t cell = 0; cell < 81; ++cell)
    if (puzzle[cell] != 0) cells.push_back(cell);
  draws.shuffle(cells.begin(), cells.end());
  return cells;
}

// Takes away whatever can go, in random order.
void reduce(Grid& puzzle, int target, Draws& draws) {
  int givens = count_givens(puzzle.data());
  for (const size_t cell : shuffled_givens(puzzle, draws)) {
    if (givens <= target) return;
    const uint8_t digit = puzzle[cell];
    puzzle[cell] = 0;
    if (has_solution_without(puzzle, static_cast<int>(cell), digit))
      puzzle[cell] = digit;
    else
      --givens;
  }
}

using CellSet = std::bitset<81>;

// The cells of `among` that as a given would leave `grid` as the only solution of `puzzle`: those
// where every other solution differs. Empty also if there are too many solutions to tell.
CellSet completing_cells(const Grid& puzzle, const Grid& grid, CellSet among) {
  constexpr int kMost = 1000;
  int seen = 0;
  visit_solutions(puzzle, [&](const Grid& other) {
    if (other == grid) return true;
    for (size_t cell = 0; cell < 81; ++cell)
      if (other[cell] == grid[cell]) among.reset(cell);
    if (++seen == kMost) among.reset();
    return among.any();
  });
  return among;
}

// Swaps two givens for one. False: no pair allows it.
//
// Solutions of the puzzle without a are also solutions without a and b, so a cell that completes
// the puzzle without both completes it without either: most pairs fall at that intersection.
bool tighten(Grid& puzzle, const Grid& grid, Draws& draws) {
  const std::vector<size_t> cells = shuffled_givens(puzzle, draws);
  std::vector<CellSet> completing;
  for (const size_t cell : cells) {
    Grid fewer = puzzle;
    fewer[cell] = 0;
    CellSet all;
    all.set();
    completing.push_back(completing_cells(fewer, grid, all).reset(cell));
  }
  for (size_t i = 0; i < cells.size(); ++i)
    for (size_t j = 0; j < i; ++j) {
      const CellSet both = completing[i] & completing[j];
      if (both.none()) continue;
      Grid fewer = puzzle;
      fewer[cells[i]] = fewer[cells[j]] = 0;
      const CellSet found = completing_cells(fewer, grid, both);
      if (found.none()) continue;
      const size_t cell = found._Find_first();
      fewer[cell] = grid[cell];
      puzzle = fewer;
      return true;
    }
  return false;
}

// The order of nine lines: bands shuffled, and lines within each.
std::array<size_t, 9> shuffled_lines(Draws& draws) {
  std::array<size_t, 3> bands{0, 1, 2};
  draws.shuffle(bands.begin(), bands.end());
  std::array<size_t, 9> lines;
  for (size_t band = 0; band < 3; ++band) {
    std::array<size_t, 3> inside{0, 1, 2};
    draws.shuffle(inside.begin(), inside.end());
    for (size_t line = 0; line < 3; ++line) lines[3 * band + line] = 3 * bands[band] + inside[line];
  }
  return lines;
}

}  // namespace

Grid random_grid(Draws& draws) {
  Grid grid{};
  Used used;
  fill(grid, used, draws);
  return grid;
}

Grid reduced_puzzle(const Grid& grid, int target, Draws& draws) {
  Grid puzzle = grid;
  reduce(puzzle, target, draws);
  return puzzle;
}

std::optional<Grid> scarce_puzzle(const Grid& grid, int most, int tries, Draws& draws) {
  // Minimal puzzles of 22 givens are rare but cheap to draw; starting from the best of a few
  // saves swaps, which cost a hundred times as much.
  constexpr int kStarts = 12;
  for (int i = 0; i < tries; ++i) {
    Grid puzzle = grid;
    for (int start = 0; start < kStarts; ++start) {
      const Grid other = reduced_puzzle(grid, 0, draws);
      if (count_givens(other.data()) < count_givens(puzzle.data())) puzzle = other;
    }
    while (count_givens(puzzle.data()) > most) {
      if (!tighten(puzzle, grid, draws)) break;
      reduce(puzzle, 0, draws);
    }
    if (count_givens(puzzle.data()) <= most) return puzzle;
  }
  return std::nullopt;
}

void shuffle_symmetry(Grid& puzzle, Grid& solution, Draws& draws) {
  std::array<uint8_t, 10> names{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  draws.shuffle(names.begin() + 1, names.end());
  const std::array<size_t, 9> rows = shuffled_lines(draws), columns = shuffled_lines(draws);
  const bool transpose = draws.below(2) == 1;
  const auto apply = [&](const Grid& from) {
    Grid to;
    for (size_t row = 0; row < 9; ++row)
      for (size_t column = 0; column < 9; ++column) {
        const size_t cell = 9 * rows[row] + columns[column];
        to[transpose ? 9 * column + row : 9 * row + column] = names[from[cell]];
      }
    return to;
  };
  puzzle = apply(puzzle);
  solution = apply(solution);
}

}  // namespace lockstep
