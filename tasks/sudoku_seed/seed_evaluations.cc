#include "tasks/sudoku_seed/seed_evaluations.h"

#include <numeric>

#include <ATen/ATen.h>

#include "core/errors.h"
#include "tasks/sudoku/sudoku_level_puzzles.h"
#include "tasks/sudoku_seed/seed_loss.h"
#include "tasks/sudoku_seed/seed_sampling.h"
#include "tasks/sudoku_seed/seed_task.h"

namespace lockstep {
namespace {

const std::vector<std::string> kSmallerIsBetter = {"validation_loss", "position_loss", "value_loss",
                                                   "validation_floor"};

class SeedValidation : public Evaluation {
 public:
  SeedValidation(const SeedValidationOptions& options, const SeedEvaluationInput& input)
      : data_(*input.validation),
        seed_(input.context.seed),
        k_max_(input.k_max),
        stored_(input.order == "stored"),
        batch_(options.batch),
        samples_(std::min(options.samples, data_.size())) {}

  std::vector<ScoreInfo> declared_scores() const override {
    return declare(scores(std::vector<double>(6)), kSmallerIsBetter);
  }
  int64_t num_chunks() const override { return (samples_ + batch_ - 1) / batch_; }

  // Sums: steps, position loss, value loss, correct positions, correct values, loss of the best
  // predictor.
  EvaluationChunk chunk(Model& model, int64_t index) const override {
    const SeedStates states = states_of_chunk(index);
    SeedLogits logits = as_seed_conv(model).logits(states.cells, states.times);
    const SeedLoss loss =
        seed_loss({logits.position.to(at::kDouble), logits.value.to(at::kDouble)}, states);
    const SeedLogits best = best_seed_logits(states.cells);
    const SeedLoss bound =
        seed_loss({best.position.to(at::kDouble), best.value.to(at::kDouble)}, states);
    return {{states.steps, loss.position.item<double>(), loss.value.item<double>(),
             static_cast<double>(loss.correct_positions.item<int64_t>()),
             static_cast<double>(loss.correct_values.item<int64_t>()), bound.sum().item<double>()},
            {}};
  }

  Scores scores(const std::vector<double>& s) const override {
    const double steps = s.at(0);
    return {{"validation_loss", (s.at(1) + s.at(2)) / steps},
            {"position_loss", s.at(1) / steps},
            {"value_loss", s.at(2) / steps},
            {"position_accuracy", s.at(3) / steps},
            {"value_accuracy", s.at(4) / steps},
            {"validation_accuracy", (s.at(3) + s.at(4)) / (2 * steps)},
            {"validation_floor", s.at(5) / steps}};
  }

 private:
  SeedStates states_of_chunk(int64_t index) const {
    const int64_t first = index * batch_;
    std::vector<int64_t> ids(static_cast<size_t>(std::min(batch_, samples_ - first)));
    std::iota(ids.begin(), ids.end(), first);
    const Batch batch = data_.read(ids);
    SeedStatesBuilder builder;
    for (int64_t row = 0; row < batch.rows(); ++row) {
      const int64_t id = first + row;
      const CellOrder order =
          stored_ ? board_at(batch.array("order"), row) : seed_order(seed_, id, 0);
      const SeedWindow window = seed_validation_window(id, k_max_);
      builder.add_sequence(board_at(batch.array("solution"), row), order, window.start,
                           window.count);
    }
    return builder.finish();
  }

  const Dataset& data_;
  uint64_t seed_;
  int64_t k_max_;
  bool stored_;
  int64_t batch_, samples_;
};

class SeedSolve : public Evaluation {
 public:
  SeedSolve(const SeedSolveOptions& options, const Dataset& data, uint64_t seed)
      : options_(options),
        seed_(seed),
        items_(puzzles_by_level(data, options.levels, options.puzzles)) {}

  std::vector<ScoreInfo> declared_scores() const override {
    return declare(scores(std::vector<double>(options_.levels.size() * 2)));
  }
  int64_t num_chunks() const override {
    return (static_cast<int64_t>(items_.size()) + options_.batch - 1) / options_.batch;
  }

  // Sums: per level, puzzles and how many of them came out as their solution.
  EvaluationChunk chunk(Model& model, int64_t index) const override {
    const auto first = static_cast<size_t>(index * options_.batch);
    const size_t count = std::min(static_cast<size_t>(options_.batch), items_.size() - first);
    std::vector<Grid> puzzles;
    for (size_t i = first; i < first + count; ++i) puzzles.push_back(items_[i].puzzle);
    const std::vector<Grid> grids =
        sample_seed(as_seed_conv(model), puzzles, seed_, first, options_.batch);
    EvaluationChunk result;
    result.sums.assign(options_.levels.size() * 2, 0);
    for (size_t i = 0; i < count; ++i) {
      const LevelPuzzle& item = items_[first + i];
      result.sums[item.level * 2] += 1;
      result.sums[item.level * 2 + 1] += grids[i] == item.solution;
    }
    return result;
  }

  Scores scores(const std::vector<double>& sums) const override {
    Scores scores;
    for (size_t level = 0; level < options_.levels.size(); ++level)
      scores["solve_rate." + options_.levels[level]] = sums[level * 2 + 1] / sums[level * 2];
    return scores;
  }

 private:
  SeedSolveOptions options_;
  uint64_t seed_;
  std::vector<LevelPuzzle> items_;
};

const Dataset& needed(const SeedEvaluationInput& input, const char* kind) {
  if (input.validation == nullptr)
    throw ConfigError(std::string("evaluation ") + kind + " needs validation data",
                      "set data.validation");
  return *input.validation;
}

}  // namespace

std::unique_ptr<Evaluation> make_seed_validation(const SeedValidationOptions& options,
                                                 const SeedEvaluationInput& input) {
  needed(input, "seed_validation");
  return std::make_unique<SeedValidation>(options, input);
}

std::unique_ptr<Evaluation> make_seed_solve(const SeedSolveOptions& options,
                                            const SeedEvaluationInput& input) {
  return std::make_unique<SeedSolve>(options, needed(input, "seed_solve"), input.context.seed);
}

const SeedEvaluationTable& seed_evaluations() {
  static const SeedEvaluationTable table = [] {
    SeedEvaluationTable rows("evaluation");
    rows.add<SeedValidationOptions>(
        "seed_validation", "objective seed: loss, accuracies and the bound on held-out sequences",
        make_seed_validation);
    rows.add<SeedSamplesOptions>(
        "seed_samples", "objective seed: validity of grids drawn step by step", make_seed_samples);
    rows.add<SeedSolveOptions>(
        "seed_solve", "objective seed: share of held-out puzzles completed right, by level",
        make_seed_solve);
    return rows;
  }();
  return table;
}

}  // namespace lockstep
