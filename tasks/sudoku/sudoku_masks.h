// What a Sudoku sample shows and what it hides: a pure function of (seed, id, step).
//
// A masked-diffusion sample is a solved grid with some cells hidden. Masks drawn uniformly over
// the number of hidden cells teach the likelihood (their loss has the known bound
// ln(6.67e21)/81 = 0.6204 nats a cell), but nearly all of them are trivial or hopeless; the puzzle
// stored with the grid, often with some of its cells added back, is where solving is learnt. Each
// use also gets a random symmetry of Sudoku, so that few grids stand for many.
#pragma once

#include <cstdint>

#include "core/config/fields.h"
#include "data/sudoku/sudoku_grid.h"

namespace lockstep {

// Digits 1..9 row by row, 0 = hidden or blank.
using SudokuBoard = Grid;

inline constexpr double kSudokuEntropyBound = 0.62037;  // nats a cell: ln(6.67090375e21) / 81

struct SudokuMaskOptions {
  double uniform_share = 0.25;
  int64_t uniform_fewest = 1;
  double hint_share = 0.5;
  double hint_amount = 0.6;
  bool symmetry = true;

  void fields(FieldVisitor& visit) {
    visit("uniform_share", uniform_share, Range{0, 1},
          "share of samples with m ~ U{uniform_fewest..81} hidden cells; the rest are puzzles");
    visit("uniform_fewest", uniform_fewest, Range{1, 81},
          "fewest hidden cells of those; with less than 30 there is little to learn");
    visit("hint_share", hint_share, Range{0, 1},
          "share of puzzles that get solution cells added back");
    visit("hint_amount", hint_amount, Range{0, 1},
          "at most this share of the hidden cells is added back");
    visit("symmetry", symmetry, "apply a random symmetry of Sudoku at each use");
  }
};

struct SudokuExample {
  SudokuBoard cells;    // what the network sees
  SudokuBoard targets;  // the digits of the hidden cells, 0 elsewhere
};

// The example that sample `id` gives at `step`. `puzzle` is a part of `solution` (0 = blank).
SudokuExample sudoku_example(const SudokuBoard& solution, const SudokuBoard& puzzle, uint64_t seed,
                             int64_t id, int64_t step, const SudokuMaskOptions& options);

// Hides `hidden` cells of `solution`, chosen by (seed, id): the same at every evaluation.
SudokuExample sudoku_evaluation_example(const SudokuBoard& solution, int hidden, uint64_t seed,
                                        int64_t id);

}  // namespace lockstep
