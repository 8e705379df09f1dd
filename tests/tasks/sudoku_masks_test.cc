#include "tasks/sudoku/sudoku_masks.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "tests/tasks/toy_sudoku.h"

namespace lockstep {
namespace {

using testing::toy_grid;
using testing::toy_puzzle;

int hidden_cells(const SudokuExample& example) {
  return int(std::count(example.cells.begin(), example.cells.end(), 0));
}

TEST(SudokuMasks, ShowOrHideEveryCellOfASolvedGrid) {
  const SudokuBoard grid = toy_grid(1), puzzle = toy_puzzle(grid, 3);
  for (int64_t id = 0; id < 200; ++id) {
    const SudokuExample example = sudoku_example(grid, puzzle, 17, id, 3, {});
    SudokuBoard whole;
    for (size_t cell = 0; cell < whole.size(); ++cell) {
      EXPECT_TRUE((example.cells[cell] == 0) != (example.targets[cell] == 0));
      whole[cell] = uint8_t(example.cells[cell] + example.targets[cell]);
    }
    EXPECT_TRUE(is_solved_grid(whole.data()));
  }
}

TEST(SudokuMasks, DependOnSeedIdAndStepAlone) {
  const SudokuBoard grid = toy_grid(1), puzzle = toy_puzzle(grid, 3);
  auto cells = [&](uint64_t seed, int64_t id, int64_t step) {
    return sudoku_example(grid, puzzle, seed, id, step, {}).cells;
  };
  EXPECT_EQ(cells(17, 5, 3), cells(17, 5, 3));
  EXPECT_NE(cells(17, 5, 3), cells(18, 5, 3));
  EXPECT_NE(cells(17, 5, 3), cells(17, 6, 3));
  EXPECT_NE(cells(17, 5, 3), cells(17, 5, 4));
}

TEST(SudokuMasks, HideUniformlyManyCells) {
  const SudokuBoard grid = toy_grid(2);
  SudokuMaskOptions options;
  options.uniform_share = 1;
  std::array<int, kCells + 1> seen{};
  const int draws = 40'500;
  for (int64_t id = 0; id < draws; ++id)
    ++seen[size_t(hidden_cells(sudoku_example(grid, grid, 1, id, 0, options)))];
  EXPECT_EQ(seen[0], 0);
  // 500 expected each, binomial deviation 22: five deviations.
  for (size_t m = 1; m < seen.size(); ++m) EXPECT_NEAR(seen[m], draws / 81.0, 112) << m;
}

TEST(SudokuMasks, HideAtLeastTheAskedNumber) {
  SudokuMaskOptions options;
  options.uniform_share = 1;
  options.uniform_fewest = 78;
  std::array<int, kCells + 1> seen{};
  for (int64_t id = 0; id < 400; ++id)
    ++seen[size_t(hidden_cells(sudoku_example(toy_grid(2), toy_grid(2), 1, id, 0, options)))];
  EXPECT_EQ(seen[78] + seen[79] + seen[80] + seen[81], 400);
  for (size_t m = 78; m <= 81; ++m) EXPECT_NEAR(seen[m], 100, 45) << m;  // five deviations of 8.7
}

TEST(SudokuMasks, GivePuzzlesAndHintsInTheirShares) {
  const SudokuBoard grid = toy_grid(2), puzzle = toy_puzzle(grid, 3);  // 27 givens
  SudokuMaskOptions options;
  options.uniform_share = 0;
  options.symmetry = false;
  int whole = 0;
  const int draws = 4000;
  for (int64_t id = 0; id < draws; ++id) {
    const SudokuExample example = sudoku_example(grid, puzzle, 1, id, 0, options);
    const int hidden = hidden_cells(example);
    EXPECT_LE(hidden, 54);
    EXPECT_GE(hidden, 54 - 32);  // floor(0.6 · 54) = 32 hints at most
    for (size_t cell = 0; cell < puzzle.size(); ++cell)
      EXPECT_TRUE(puzzle[cell] == 0 || example.cells[cell] == puzzle[cell]);
    whole += hidden == 54;
  }
  // Half without hints, and 1 of 32.4 hint draws rounds down to none.
  EXPECT_NEAR(whole, draws * (0.5 + 0.5 / 32.4), 5 * std::sqrt(draws * 0.25));
}

TEST(SudokuMasks, EvaluationExamplesHideTheAskedNumber) {
  const SudokuBoard grid = toy_grid(3);
  for (int hidden : {1, 40, 81}) {
    EXPECT_EQ(hidden_cells(sudoku_evaluation_example(grid, hidden, 17, 4)), hidden);
    EXPECT_EQ(sudoku_evaluation_example(grid, hidden, 17, 4).cells,
              sudoku_evaluation_example(grid, hidden, 17, 4).cells);
  }
  EXPECT_NE(sudoku_evaluation_example(grid, 40, 17, 4).cells,
            sudoku_evaluation_example(grid, 40, 17, 5).cells);
}

}  // namespace
}  // namespace lockstep
