// Scores of the Sudoku task (the `evaluate` list of a config).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/config/kinds.h"
#include "tasks/task.h"
#include "tasks/validation_loss_options.h"

namespace lockstep {

// Share of held-out puzzles solved exactly, by level. Scores: solve_rate.LEVEL (guess and check),
// solve_rate_plain.LEVEL, passes.LEVEL and passes_plain.LEVEL (mean). Draws the first puzzles.
struct SudokuSolveOptions {
  int64_t every_steps = 0;
  int64_t puzzles = 500;
  std::vector<std::string> levels = {"easy", "medium", "hard", "minimal"};
  std::string decoder = "both";
  int64_t max_passes = 81;
  int64_t batch = 25;
  int64_t boards = 4;

  void fields(FieldVisitor& visit) {
    visit("every_steps", every_steps, at_least(0), "steps between evaluations, 0 = at the end");
    visit("puzzles", puzzles, at_least(1),
          "puzzles a level: the first ones of the validation data");
    visit("levels", levels, OneOf{{"easy", "medium", "hard", "minimal", "extreme"}},
          "which levels, by number of givens");
    visit("decoder", decoder, OneOf{{"guess_and_check", "plain", "both"}}, "how blanks are filled");
    visit("max_passes", max_passes, Range{1, 10000}, "network passes a puzzle at most");
    visit("batch", batch, Range{1, 4096}, "puzzles that share forward passes");
    visit("boards", boards, Range{0, 16}, "boards to draw a level");
  }
};

// Grids drawn from nothing: validity (share that keeps all rules), distinct (share of different
// grids among all, up to renamed digits and transposition). Draws the first ones.
struct SudokuSamplesOptions {
  int64_t every_steps = 0;
  int64_t count = 200;
  std::string order = "doubtful";
  int64_t batch = 25;
  int64_t boards = 8;

  void fields(FieldVisitor& visit) {
    visit("every_steps", every_steps, at_least(0), "steps between evaluations, 0 = at the end");
    visit("count", count, Range{1, 100000}, "grids to draw");
    visit("order", order, OneOf{{"doubtful", "confident", "random"}}, "which cell comes next");
    visit("batch", batch, Range{1, 4096}, "grids that share forward passes");
    visit("boards", boards, Range{0, 64}, "boards to draw");
  }
};

struct SudokuEvaluationInput {
  const Dataset* validation;  // may be null
  StepContext context;
};

using SudokuEvaluationTable = Table<Evaluation, const SudokuEvaluationInput&>;
// Rows: validation_loss, solve, samples.
const SudokuEvaluationTable& sudoku_evaluations();

// Nats per hidden cell; no model can average below 0.6204 (sudoku_masks.h). All three
// throw ConfigError without validation data or with too few puzzles of a level.
std::unique_ptr<Evaluation> make_sudoku_validation_loss(const ValidationLossOptions& options,
                                                        const SudokuEvaluationInput& input);
std::unique_ptr<Evaluation> make_sudoku_solve(const SudokuSolveOptions& options,
                                              const SudokuEvaluationInput& input);
std::unique_ptr<Evaluation> make_sudoku_samples(const SudokuSamplesOptions& options,
                                                const SudokuEvaluationInput& input);

}  // namespace lockstep
