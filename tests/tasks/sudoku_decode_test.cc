#include "tasks/sudoku/sudoku_decode.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "core/philox.h"
#include "tasks/sudoku/sudoku_sampling.h"
#include "tests/tasks/toy_sudoku.h"

namespace lockstep {
namespace {

using testing::claim;
using testing::toy_grid;
using testing::toy_puzzle;

int blanks(const SudokuBoard& board) { return int(std::count(board.begin(), board.end(), 0)); }

// Answers every question with `p` on the digits of grid 0.
SudokuPredict steady(double p) {
  return [p](std::span<const SudokuBoard> boards, float* out) {
    for (size_t i = 0; i < boards.size(); ++i) claim(toy_grid(0), p, out + i * kCells * 9);
  };
}

SudokuDecodeOptions plain() {
  SudokuDecodeOptions options;
  options.guess_and_check = false;
  return options;
}

TEST(SudokuDecode, PlainFillsSureCellsInOnePass) {
  const SudokuBoard puzzle = toy_puzzle(toy_grid(0), 3);
  const SudokuSolution solution =
      solve_sudokus(steady(0.999), std::vector{puzzle}, 1, 0, plain())[0];
  EXPECT_EQ(solution.board, toy_grid(0));
  EXPECT_EQ(solution.passes, 1);
}

TEST(SudokuDecode, PlainFillsOneDoubtfulCellAPass) {
  const SudokuBoard puzzle = toy_puzzle(toy_grid(0), 3);
  const SudokuSolution solution = solve_sudokus(steady(0.9), std::vector{puzzle}, 1, 0, plain())[0];
  EXPECT_EQ(solution.board, toy_grid(0));
  EXPECT_EQ(solution.passes, 54);
  EXPECT_NEAR(solution.confidence, 0.9, 1e-6);
}

TEST(SudokuDecode, GuessAndCheckVerifiesInSixPasses) {
  const SudokuBoard puzzle = toy_puzzle(toy_grid(0), 3);
  std::vector<SudokuBoard> questions;
  const SudokuPredict predict = [&](std::span<const SudokuBoard> boards, float* out) {
    questions.insert(questions.end(), boards.begin(), boards.end());
    steady(0.9999)(boards, out);
  };
  const SudokuSolution solution = solve_sudokus(predict, std::vector{puzzle}, 1, 0, {})[0];
  EXPECT_TRUE(solution.accepted);
  EXPECT_EQ(solution.passes, 7);
  ASSERT_EQ(questions.size(), 7u);
  for (size_t split = 0; split < 3; ++split) {  // two halves that together are the 54 blanks
    const SudokuBoard &a = questions[1 + 2 * split], &b = questions[2 + 2 * split];
    EXPECT_EQ(blanks(a), 27);
    EXPECT_EQ(blanks(b), 27);
    for (size_t cell = 0; cell < puzzle.size(); ++cell)
      EXPECT_EQ(a[cell] == 0 || b[cell] == 0, puzzle[cell] == 0);
  }
  EXPECT_NE(questions[1], questions[3]);
}

// The network first prefers a wrong digit in one cell, with a doubt, and its re-prediction of a
// grid with that digit is bad: the decoder must take the second choice.
TEST(SudokuDecode, GuessAndCheckTakesASecondChoiceBack) {
  const SudokuBoard truth = toy_grid(0), puzzle = toy_puzzle(truth, 3);
  const size_t trap = 1;
  const auto wrong = uint8_t(truth[trap] % 9 + 1);
  const SudokuPredict predict = [&](std::span<const SudokuBoard> boards, float* out) {
    for (size_t i = 0; i < boards.size(); ++i) {
      float* p = out + i * kCells * 9;
      claim(truth, boards[i][trap] == wrong ? 0.3 : 0.9999, p);
      if (boards[i][trap] == wrong && blanks(boards[i]) > 40) claim(truth, 0.9999, p);
      if (boards[i][trap] == 0 && blanks(boards[i]) == 54) {
        std::fill_n(p + trap * 9, 9, 0.0f);
        p[trap * 9 + wrong - 1] = 0.998f;
        p[trap * 9 + truth[trap] - 1] = 0.002f;
      }
    }
  };
  EXPECT_NE(solve_sudokus(predict, std::vector{puzzle}, 1, 0, plain())[0].board, truth);
  const SudokuSolution solution = solve_sudokus(predict, std::vector{puzzle}, 1, 0, {})[0];
  EXPECT_EQ(solution.board, truth);
  EXPECT_TRUE(solution.accepted);
}

TEST(SudokuDecode, NeverUsesMorePassesThanAllowed) {
  // Doubtful everywhere: one cell a pass, endless second choices, verification always refuses.
  int64_t asked = 0;
  const SudokuPredict predict = [&](std::span<const SudokuBoard> boards, float* out) {
    asked += int64_t(boards.size());
    steady(0.4)(boards, out);
  };
  for (const int64_t limit : {1, 7, 30, 54, 55, 81}) {
    asked = 0;
    SudokuDecodeOptions options;
    options.max_passes = limit;
    const SudokuSolution solution =
        solve_sudokus(predict, std::vector{toy_puzzle(toy_grid(0), 3)}, 1, 0, options)[0];
    EXPECT_LE(solution.passes, limit);
    EXPECT_EQ(solution.passes, asked);
    EXPECT_EQ(blanks(solution.board), 0) << "a board is always filled up, " << limit;
    EXPECT_FALSE(solution.accepted);
  }
}

TEST(SudokuDecode, AsksNothingAboutACompleteGrid) {
  const SudokuPredict refuse = [](std::span<const SudokuBoard>, float*) { FAIL() << "asked"; };
  const SudokuSolution solution = solve_sudokus(refuse, std::vector{toy_grid(4)}, 1, 0, {})[0];
  EXPECT_EQ(solution.board, toy_grid(4));
  EXPECT_EQ(solution.passes, 0);
}

TEST(SudokuDecode, APuzzlesResultDoesNotDependOnItsCompany) {
  // A predictor whose doubts depend on the board, so that decoders take different ways.
  const SudokuPredict predict = [](std::span<const SudokuBoard> boards, float* out) {
    for (size_t i = 0; i < boards.size(); ++i) {
      uint64_t hash = 1;
      for (uint8_t digit : boards[i]) hash = splitmix64(hash + digit);
      claim(toy_grid(int(hash % 3)), 0.4 + 0.6 * double(hash % 1000) / 1000, out + i * kCells * 9);
    }
  };
  std::vector<SudokuBoard> puzzles;
  for (int i = 0; i < 12; ++i) puzzles.push_back(toy_puzzle(toy_grid(i), 2 + i % 4));
  const auto together = solve_sudokus(predict, puzzles, 1, 0, {}, 5);
  for (size_t i = 0; i < puzzles.size(); ++i) {
    const auto alone = solve_sudokus(predict, std::span(puzzles).subspan(i, 1), 1, i, {})[0];
    EXPECT_EQ(alone.board, together[i].board);
    EXPECT_EQ(alone.passes, together[i].passes);
  }
}

TEST(SudokuSampling, FillsOneCellAPassFromTheDistribution) {
  int passes = 0;
  std::array<int, 9> first_digits{};
  const SudokuPredict predict = [&](std::span<const SudokuBoard> boards, float* out) {
    for (const SudokuBoard& board : boards) EXPECT_EQ(blanks(board), 81 - passes);
    for (size_t i = 0; i < boards.size() * kCells; ++i)
      for (int d = 0; d < 9; ++d) out[i * 9 + size_t(d)] = d < 2 ? (d == 0 ? 0.75f : 0.25f) : 0.0f;
    ++passes;
  };
  for (const auto order : {SudokuSamplingOrder::kDoubtful, SudokuSamplingOrder::kConfident,
                           SudokuSamplingOrder::kRandom}) {
    passes = 0;
    first_digits = {};
    const auto grids = sample_sudokus(predict, 50, 3, 0, order);
    EXPECT_EQ(passes, 81);
    for (const SudokuBoard& grid : grids)
      for (uint8_t digit : grid) ++first_digits[size_t(digit - 1)];
    EXPECT_NEAR(first_digits[0], 0.75 * 4050, 5 * std::sqrt(4050 * 0.1875));
    EXPECT_EQ(first_digits[0] + first_digits[1], 4050);
  }
}

TEST(SudokuSampling, DrawsAllCertainCellsInOnePass) {
  int passes = 0;
  const SudokuPredict predict = [&](std::span<const SudokuBoard> boards, float* out) {
    ++passes;
    steady(0.99999)(boards, out);
  };
  EXPECT_EQ(sample_sudokus(predict, 1, 3, 0, SudokuSamplingOrder::kDoubtful)[0], toy_grid(0));
  EXPECT_EQ(passes, 1);
  passes = 0;
  sample_sudokus(predict, 1, 3, 0, SudokuSamplingOrder::kConfident);
  EXPECT_EQ(passes, 81);
}

TEST(SudokuDecode, GuessesWhereTwoDigitsAreLeftAndDoubtIsLargest) {
  SudokuBoard board{};
  std::vector<float> p(kCells * 9, 1.0f / 9);
  auto set = [&](size_t cell, float first, float second) {
    for (size_t d = 0; d < 9; ++d) p[cell * 9 + d] = (1 - first - second) / 7;
    p[cell * 9 + 2] = first;
    p[cell * 9 + 5] = second;
  };
  set(10, 0.97f, 0.01f);
  set(20, 0.6f, 0.395f);
  set(30, 0.55f, 0.40f);  // more doubtful, but a third digit is left
  EXPECT_EQ(most_confident_cell(board, p.data()), 10);
  EXPECT_EQ(most_doubtful_cell(board, p.data(), 0.99), 20);
  board[20] = 3;
  EXPECT_EQ(most_doubtful_cell(board, p.data(), 0.99), 10) << "no cell with two digits left";
  board[10] = 3;
  EXPECT_EQ(most_confident_cell(board, p.data()), 30);
}

TEST(SudokuSampling, AGridDependsOnItsIdAlone) {
  const auto all = sample_sudokus(steady(0.5), 6, 3, 0, SudokuSamplingOrder::kRandom, 4);
  const auto some = sample_sudokus(steady(0.5), 2, 3, 3, SudokuSamplingOrder::kRandom, 4);
  EXPECT_EQ(all[3], some[0]);
  EXPECT_EQ(all[4], some[1]);
  EXPECT_NE(all[0], all[1]);
}

}  // namespace
}  // namespace lockstep
