#include "data/sudoku/sudoku_puzzles.h"

#include <map>
#include <set>

#include <gtest/gtest.h>

#include "data/sudoku/sudoku_solver.h"

namespace lockstep {
namespace {

const Stream kStream(7, Purpose::kTest);

TEST(SudokuPuzzles, StartFromValidGridsThatDiffer) {
  std::set<Grid> seen;
  std::map<int, int> corner;
  for (uint64_t i = 0; i < 900; ++i) {
    Draws draws(kStream, i, 0);
    const Grid grid = random_grid(draws);
    ASSERT_TRUE(is_solved_grid(grid.data()));
    seen.insert(relabelled(grid));
    ++corner[grid[80]];
  }
  EXPECT_EQ(seen.size(), 900u);
  // The last cell is filled last; each digit should be there about 100 times (standard error 9.4).
  ASSERT_EQ(corner.size(), 9u);
  for (const auto& [digit, count] : corner) EXPECT_NEAR(count, 100, 45) << digit;
}

TEST(SudokuPuzzles, AreMinimalWhenFullyReduced) {
  for (uint64_t i = 0; i < 40; ++i) {
    Draws draws(kStream, i, 1);
    const Grid grid = random_grid(draws), puzzle = reduced_puzzle(grid, 0, draws);
    ASSERT_EQ(count_solutions(puzzle, 2), 1);
    ASSERT_TRUE(is_part_of(puzzle.data(), grid.data()));
    for (size_t cell = 0; cell < 81; ++cell) {
      if (puzzle[cell] == 0) continue;
      Grid fewer = puzzle;
      fewer[cell] = 0;
      ASSERT_EQ(count_solutions(fewer, 2), 2) << "given " << cell << " is superfluous";
    }
  }
}

TEST(SudokuPuzzles, StopAtTheirTarget) {
  for (const int target : {30, 36, 60}) {
    Draws draws(kStream, static_cast<uint64_t>(target), 2);
    const Grid puzzle = reduced_puzzle(random_grid(draws), target, draws);
    EXPECT_EQ(count_givens(puzzle.data()), target);
    EXPECT_EQ(count_solutions(puzzle, 2), 1);
  }
}

TEST(SudokuPuzzles, CanHaveTwentyOneGivens) {
  for (uint64_t i = 0; i < 4; ++i) {
    Draws draws(kStream, i, 3);
    const Grid grid = random_grid(draws);
    const auto puzzle = scarce_puzzle(grid, 21, 1000, draws);
    ASSERT_TRUE(puzzle);
    EXPECT_LE(count_givens(puzzle->data()), 21);
    EXPECT_EQ(count_solutions(*puzzle, 2), 1);
    EXPECT_TRUE(is_part_of(puzzle->data(), grid.data()));
  }
}

TEST(SudokuPuzzles, AreAFunctionOfTheirDraws) {
  Draws one(kStream, 5, 0), two(kStream, 5, 0), other(kStream, 6, 0);
  const Grid a = random_grid(one), b = random_grid(two), c = random_grid(other);
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
  EXPECT_EQ(reduced_puzzle(a, 0, one), reduced_puzzle(b, 0, two));
}

TEST(SudokuPuzzles, StayThemselvesUnderSymmetries) {
  std::set<Grid> seen;
  for (uint64_t i = 0; i < 200; ++i) {
    Draws draws(kStream, 1, static_cast<uint32_t>(4 + i));
    Draws fixed(kStream, 1, 0);
    Grid grid = random_grid(fixed);
    Grid puzzle = reduced_puzzle(grid, 30, fixed);
    shuffle_symmetry(puzzle, grid, draws);
    ASSERT_TRUE(is_solved_grid(grid.data()));
    ASSERT_TRUE(is_part_of(puzzle.data(), grid.data()));
    ASSERT_EQ(count_givens(puzzle.data()), 30);
    ASSERT_EQ(count_solutions(puzzle, 2), 1);
    seen.insert(grid);
  }
  EXPECT_EQ(seen.size(), 200u);
}

TEST(SudokuPuzzles, ShareANameUnderRenamingAndTransposing) {
  Draws draws(kStream, 2, 0);
  const Grid grid = random_grid(draws);
  Grid renamed = grid, transposed, shuffled = grid;
  for (uint8_t& cell : renamed) cell = static_cast<uint8_t>(cell % 9 + 1);
  for (size_t cell = 0; cell < 81; ++cell) transposed[cell] = renamed[cell % 9 * 9 + cell / 9];
  std::swap_ranges(shuffled.begin(), shuffled.begin() + 9, shuffled.begin() + 9);
  EXPECT_EQ(relabelled(grid), relabelled(renamed));
  EXPECT_EQ(relabelled(grid), relabelled(transposed));
  EXPECT_NE(relabelled(grid), relabelled(shuffled));
  EXPECT_TRUE(is_solved_grid(relabelled(grid).data()));
}

TEST(SudokuGrids, HaveLevelsByGivens) {
  EXPECT_EQ(std::string(kSudokuLevels[level_of_givens(40)].name), "easy");
  EXPECT_EQ(std::string(kSudokuLevels[level_of_givens(36)].name), "easy");
  EXPECT_EQ(std::string(kSudokuLevels[level_of_givens(35)].name), "medium");
  EXPECT_EQ(std::string(kSudokuLevels[level_of_givens(30)].name), "hard");
  EXPECT_EQ(std::string(kSudokuLevels[level_of_givens(25)].name), "minimal");
  EXPECT_EQ(std::string(kSudokuLevels[level_of_givens(17)].name), "extreme");
}

TEST(SudokuGrids, AreCheckedByTheRules) {
  Draws draws(kStream, 3, 0);
  const Grid good = random_grid(draws);
  for (size_t cell = 0; cell < 81; ++cell)
    for (uint8_t digit = 0; digit <= 10; ++digit) {
      Grid grid = good;
      grid[cell] = digit;
      ASSERT_EQ(is_solved_grid(grid.data()), digit == good[cell]);
    }
}

}  // namespace
}  // namespace lockstep
