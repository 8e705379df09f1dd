// Scores of the seed objective (the `evaluate` list of a config with task.objective: seed).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/config/kinds.h"
#include "tasks/task.h"

namespace lockstep {

// Loss and accuracies on held-out sequences with windows fixed by sample id (seed_states.h), where
// the seed drew them anew at each validation. Scores: validation_loss, position_accuracy,
// value_accuracy, validation_accuracy (both mixed, the seed's figure), and validation_floor: the
// loss of the best possible predictor on the same states, below which no network that did not see
// them can come.
struct SeedValidationOptions {
  int64_t every_steps = 0;
  int64_t samples = 1000;
  int64_t batch = 50;

  void fields(FieldVisitor& visit) {
    visit("every_steps", every_steps, at_least(0), "steps between evaluations, 0 = at the end");
    visit("samples", samples, at_least(1),
          "held-out sequences, at most; (81 - k_max) k_max hold each window once");
    visit("batch", batch, Range{1, 65536}, "sequences a forward pass");
  }
};

// Grids drawn step by step from nothing. Scores: validity (all rules kept, no cell masked) and
// validity_seed (no digit twice in a unit; masked cells pass, as in the seed's check). Draws
// boards.
struct SeedSamplesOptions {
  int64_t every_steps = 0;
  int64_t count = 100;
  int64_t batch = 50;
  int64_t boards = 8;

  void fields(FieldVisitor& visit) {
    visit("every_steps", every_steps, at_least(0), "steps between evaluations, 0 = at the end");
    visit("count", count, Range{1, 100000}, "grids to draw");
    visit("batch", batch, Range{1, 65536}, "grids that share forward passes");
    visit("boards", boards, Range{0, 64}, "boards to draw");
  }
};

// Puzzles completed by the same sampling, started from the givens. Scores: solve_rate.LEVEL.
struct SeedSolveOptions {
  int64_t every_steps = 0;
  int64_t puzzles = 100;
  std::vector<std::string> levels = {"easy", "medium", "hard", "minimal"};
  int64_t batch = 50;

  void fields(FieldVisitor& visit) {
    visit("every_steps", every_steps, at_least(0), "steps between evaluations, 0 = at the end");
    visit("puzzles", puzzles, at_least(1),
          "puzzles a level: the first ones of the validation data");
    visit("levels", levels, OneOf{{"easy", "medium", "hard", "minimal", "extreme"}},
          "which levels, by number of givens");
    visit("batch", batch, Range{1, 65536}, "puzzles that share forward passes");
  }
};

struct SeedEvaluationInput {
  const Dataset* validation;  // may be null
  StepContext context;
  int64_t k_max;
  std::string order;  // task.sequence.order
};

using SeedEvaluationTable = Table<Evaluation, const SeedEvaluationInput&>;
// Rows: seed_validation, seed_samples, seed_solve.
const SeedEvaluationTable& seed_evaluations();

// Throw ConfigError without the validation data they need.
std::unique_ptr<Evaluation> make_seed_validation(const SeedValidationOptions& options,
                                                 const SeedEvaluationInput& input);
std::unique_ptr<Evaluation> make_seed_samples(const SeedSamplesOptions& options,
                                              const SeedEvaluationInput& input);
std::unique_ptr<Evaluation> make_seed_solve(const SeedSolveOptions& options,
                                            const SeedEvaluationInput& input);

}  // namespace lockstep
