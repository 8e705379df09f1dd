// The seed's network and loss against PyTorch (golden/make_seed_conv.py), and against its own
// bound.
#include "tasks/sudoku_seed/seed_task.h"

#include <cmath>
#include <set>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/errors.h"
#include "data/sudoku/sudoku_puzzles.h"
#include "tasks/sudoku_seed/seed_evaluations.h"
#include "tasks/sudoku_seed/seed_loss.h"
#include "tasks/sudoku_seed/seed_sampling.h"
#include "tasks/tasks.h"
#include "tensor/safetensors.h"
#include "tests/tasks/toy_sudoku.h"

namespace lockstep {
namespace {

using testing::toy_grid;
using testing::ToyDataset;

SudokuTaskOptions seed_options(const SeedConvOptions& net, int64_t k_max) {
  SudokuTaskOptions options;
  options.objective = "seed";
  options.k_max = k_max;
  options.model.select("seed_conv");
  dynamic_cast<OptionsOf<SeedConvOptions>&>(*options.model.options).value = net;
  return options;
}

SeedConvOptions tiny_net() { return {.hidden_dim = 4, .num_layers = 1, .num_groups = 2}; }

// --- against PyTorch ---

struct GoldenCase {
  const char* file;
  SeedConvOptions net;
  int64_t k_max;
};

class SeedGolden : public ::testing::TestWithParam<GoldenCase> {
 protected:
  void SetUp() override {
    golden_ =
        load_safetensors(std::string(LOCKSTEP_SOURCE_DIR "/tests/tasks/golden/") + GetParam().file);
    task_ = make_sudoku_task(seed_options(GetParam().net, GetParam().k_max));
    model_ = task_->make_model(1);
    NamedTensors weights;
    for (const NamedTensor& entry : golden_)
      if (entry.name.starts_with("weight."))
        weights.push_back({entry.name.substr(7), entry.tensor});
    model_->load(weights, "the golden file");
  }
  const at::Tensor& golden(const std::string& name) const { return *find_tensor(golden_, name); }
  NamedTensors inputs(const std::vector<std::string>& names) const {
    NamedTensors out;
    for (const std::string& name : names) out.push_back({name, golden(name)});
    return out;
  }
  double error(const at::Tensor& got, const std::string& name) const {
    return (got - golden(name)).abs().max().item<double>();
  }

  NamedTensors golden_;
  std::unique_ptr<Task> task_;
  std::unique_ptr<Model> model_;
};
INSTANTIATE_TEST_SUITE_P(
    Networks, SeedGolden,
    ::testing::Values(GoldenCase{"seed_conv.safetensors", {4, 2, 3, 2, 0, ""}, 3},
                      GoldenCase{"seed_embedding.safetensors", {4, 1, 5, 2, 3, ""}, 4}));

TEST_P(SeedGolden, LogitsAgree) {
  const at::NoGradGuard no_grad;
  const NamedTensors outputs = task_->forward(*model_, inputs({"grid", "t"}));
  EXPECT_EQ(outputs.size(), 2u);
  EXPECT_LT(error(*find_tensor(outputs, "position_logits"), "position_logits"), 1e-5);
  EXPECT_LT(error(*find_tensor(outputs, "value_logits"), "value_logits"), 1e-5);
}

TEST_P(SeedGolden, LossAndGradientsAgree) {
  const NamedTensors outputs = task_->forward(*model_, inputs({"sequences", "start", "count"}));
  const at::Tensor loss = *find_tensor(outputs, "loss");
  EXPECT_EQ(loss.dim(), 0);
  EXPECT_LT(error(loss, "loss"), 1e-5);
  std::vector<at::Tensor> leaves;
  for (const NamedTensor& parameter : model_->parameters()) leaves.push_back(parameter.tensor);
  const auto gradients = torch::autograd::grad({loss}, leaves);
  for (size_t i = 0; i < leaves.size(); ++i) {
    const std::string& name = model_->parameters()[i].name;
    EXPECT_LT(error(gradients[i], "grad." + name), 1e-5) << name;
  }
}

TEST(SeedConv, HasTheParametersOfTheSeedsLogs) {
  const auto count = [](SeedConvOptions options) {
    int64_t sum = 0;
    const SeedConv net(options, 1);
    for (const NamedTensor& parameter : net.parameters()) sum += parameter.tensor.numel();
    return sum;
  };
  EXPECT_EQ(count({.hidden_dim = 32, .num_layers = 9, .embedding_dim = 10}), 349951);
  EXPECT_EQ(count({.hidden_dim = 64, .num_layers = 9, .embedding_dim = 15}), 1386673);
  EXPECT_EQ(count({.hidden_dim = 128, .num_layers = 9, .embedding_dim = 15}), 5509233);
  EXPECT_EQ(count({.hidden_dim = 128, .num_layers = 9, .embedding_dim = 10}), 5503423);
  EXPECT_EQ(count({.hidden_dim = 256, .num_layers = 6}), 18386779);
  EXPECT_EQ(count({.hidden_dim = 8, .num_layers = 48, .embedding_dim = 10}), 70303);
}

TEST(SeedConv, RefusesOptionsThatDoNotFitTogether) {
  EXPECT_THROW(SeedConv({.kernel_size = 4}, 1), ConfigError);
  EXPECT_THROW(SeedConv({.hidden_dim = 10, .num_groups = 4}, 1), ConfigError);
  EXPECT_THROW(SeedConv({.embedding = "somewhere"}, 1), ConfigError);
}

// --- states ---

TEST(SeedStates, EachStepRevealsOneCellOfTheOrder) {
  const Grid solution = toy_grid(2);
  const CellOrder order = seed_order(17, 5, 3);
  SeedStatesBuilder builder;
  builder.add_sequence(solution, order, 0, kCells);
  const SeedStates states = builder.finish();
  ASSERT_EQ(states.cells.size(0), kCells);
  EXPECT_EQ(states.steps, 81);
  for (int64_t t = 0; t < kCells; ++t) {
    EXPECT_EQ(states.times[t].item<float>(), float(t));
    EXPECT_EQ(states.cells[t].ne(0).sum().item<int64_t>(), t);
    EXPECT_EQ(states.position[t].item<int64_t>(), order[size_t(t)]);
    EXPECT_EQ(states.value[t].item<int64_t>(), solution[order[size_t(t)]]);
    if (t > 0) {
      EXPECT_EQ(states.cells[t].ne(states.cells[t - 1]).sum().item<int64_t>(), 1);
    }
  }
}

TEST(SeedStates, WindowsCoverTheSeedsRange) {
  for (const int64_t k_max : {1, 3, 6}) {
    int64_t low = 81, high = 0, longest = 0, shortest = 81;
    for (int64_t id = 0; id < 4000; ++id) {
      const SeedWindow window = seed_window(17, id, 2, k_max);
      low = std::min(low, window.start);
      high = std::max(high, window.start);
      longest = std::max(longest, window.count);
      shortest = std::min(shortest, window.count);
    }
    EXPECT_EQ(low, 0);
    EXPECT_EQ(high, 80 - k_max);
    EXPECT_EQ(shortest, 1);
    EXPECT_EQ(longest, k_max);
  }
}

TEST(SeedStates, ARowWithoutAChangeDropsOutAndStillCounts) {
  const Grid solution = toy_grid(0);
  at::Tensor sequences = at::zeros({2, 82, 81}, at::kByte);
  for (int64_t t = 0; t < 81; ++t) {
    sequences.select(1, t + 1).copy_(sequences.select(1, t));
    sequences.select(1, t + 1).select(1, t).fill_(solution[size_t(t)]);
  }
  sequences[1][11].copy_(sequences[1][10]);
  const SeedStates both = states_of_sequences(sequences, {{10, 2}, {10, 2}});
  EXPECT_EQ(both.steps, 4);
  EXPECT_EQ(both.cells.size(0), 3);
  // Alone, its first step has no row at all: the seed's loop ends there.
  const SeedStates alone = states_of_sequences(sequences.narrow(0, 1, 1).contiguous(), {{10, 2}});
  EXPECT_EQ(alone.steps, 2);
  EXPECT_EQ(alone.cells.size(0), 0);
}

// --- the bound ---

// Sequences nobody has seen: grids, orders and windows by chance.
SeedStates fresh_states(int64_t grids, int64_t k_max) {
  const Stream stream(5, Purpose::kDataMaking);
  SeedStatesBuilder builder;
  for (int64_t id = 0; id < grids; ++id) {
    Draws draws(stream, uint64_t(id), 0);
    const SeedWindow window = seed_window(5, id, 0, k_max);
    builder.add_sequence(random_grid(draws), seed_order(5, id, 0), window.start, window.count);
  }
  return builder.finish();
}

double mean_loss(const SeedLogits& logits, const SeedStates& states) {
  return seed_loss({logits.position.to(at::kDouble), logits.value.to(at::kDouble)}, states)
             .sum()
             .item<double>() /
         states.steps;
}

TEST(SeedFloor, HasTheValuesOfTheSpecification) {
  const double wanted[][2] = {{1, 5.513}, {3, 5.570}, {5, 5.616}, {6, 5.636}, {10, 5.702}};
  for (const auto& [k_max, floor] : wanted)
    EXPECT_NEAR(seed_floor(int64_t(k_max)), floor, 2e-3) << k_max;
  EXPECT_EQ(missing_digit_entropy(1), 0);  // the last cell
  EXPECT_NEAR(missing_digit_entropy(81), std::log(9), 1e-12);
}

TEST(SeedFloor, TheBestPredictorReachesItAndOthersDoNot) {
  const SeedStates states = fresh_states(4000, 3);
  const SeedLogits best = best_seed_logits(states.cells);
  const double floor = mean_loss(best, states);
  // The loss of 8,000 steps varies by about 1.4, mostly ln m along the grid: standard error 0.016.
  EXPECT_NEAR(floor, seed_floor(3), 0.05);
  for (const double slope : {-0.3, 0.3}) {
    EXPECT_GT(mean_loss({best.position + slope * at::linspace(-1, 1, 81), best.value}, states),
              floor);
    const at::Tensor blurred = at::where(best.value.isinf(), best.value, best.value * (1 + slope));
    EXPECT_GT(mean_loss({best.position, blurred}, states), floor);
  }
}

// --- the task ---

ToyDataset ordered_data(int count) {
  std::vector<SudokuBoard> solutions, orders;
  for (int i = 0; i < count; ++i) {
    solutions.push_back(toy_grid(i));
    orders.push_back(seed_order(3, i, 0));
  }
  ToyDataset data(solutions, {});
  data.add_array("order", orders);
  return data;
}

TEST(SeedTask, TheLossIsThatOfForwardOnTheSameWindow) {
  const auto task = make_sudoku_task(seed_options(tiny_net(), 3));
  const auto model = task->make_model(3);
  const ToyDataset data = ordered_data(4);
  const std::vector<int64_t> ids = {2, 0, -1, 1};
  const Loss loss = task->loss(*model, data.read(ids), {17, 5});
  at::Tensor sequences = at::zeros({3, 82, 81}, at::kChar), start = at::zeros({3}, at::kLong),
             count = at::zeros({3}, at::kInt);
  for (int64_t row = 0, k = 0; row < 4; ++row) {
    const int64_t id = ids[size_t(row)];
    if (id < 0) continue;
    const CellOrder order = seed_order(3, id, 0);
    for (int64_t t = 0; t < 81; ++t) {
      sequences[k][t + 1].copy_(sequences[k][t]);
      sequences[k][t + 1][order[size_t(t)]] = toy_grid(int(id))[order[size_t(t)]];
    }
    const SeedWindow window = seed_window(17, id, 5, 3);
    start[k] = window.start;
    count[k++] = window.count;
  }
  const NamedTensors outputs = task->forward(
      *model, {{"sequences", sequences.view({3, 82, 9, 9})}, {"start", start}, {"count", count}});
  EXPECT_EQ(loss.count, count.sum().item<double>());
  EXPECT_EQ(loss.guesses, 2 * loss.count);
  EXPECT_NEAR(loss.sum.item<double>() / loss.count, find_tensor(outputs, "loss")->item<double>(),
              1e-5);
  EXPECT_EQ(task->nominal_count(8), 16);
}

TEST(SeedTask, ABatchOfPaddingHasNoLoss) {
  const auto task = make_sudoku_task(seed_options(tiny_net(), 3));
  const auto model = task->make_model(3);
  const std::vector<int64_t> ids = {-1, -1};
  const Loss loss = task->loss(*model, ordered_data(1).read(ids), {17, 0});
  EXPECT_EQ(loss.count, 0);
  EXPECT_FALSE(loss.sum.requires_grad());
}

TEST(SeedTask, ForwardRefusesWhatDoesNotFit) {
  const auto task = make_sudoku_task(seed_options(tiny_net(), 3));
  const auto model = task->make_model(3);
  const at::Tensor grid = at::zeros({2, 9, 9}, at::kChar), t = at::zeros({2}, at::kInt);
  const at::Tensor sequences = at::zeros({2, 82, 9, 9}, at::kChar), one = at::ones({2}, at::kLong);
  auto run = [&](const NamedTensors& inputs) { return task->forward(*model, inputs); };
  EXPECT_NO_THROW(run({{"grid", grid}, {"t", t}}));
  EXPECT_THROW(run({{"grid", grid}}), DataError);
  EXPECT_THROW(run({{"grid", grid.view({2, 81})}, {"t", t}}), DataError);
  EXPECT_THROW(run({{"grid", grid + 10}, {"t", t}}), DataError);
  EXPECT_THROW(run({{"grid", grid.to(at::kFloat)}, {"t", t}}), DataError);
  EXPECT_THROW(run({{"grid", grid}, {"t", t + 82}}), DataError);
  EXPECT_THROW(run({{"grid", grid}, {"t", t}, {"cells", t}}), DataError);
  EXPECT_THROW(run({{"sequences", sequences}, {"start", one}}), DataError);
  EXPECT_THROW(run({{"sequences", sequences}, {"start", one}, {"count", one * 4}}),
               DataError);  // k_max is 3
  EXPECT_THROW(run({{"sequences", sequences}, {"start", one}, {"count", one * 0}}), DataError);
  try {
    run({{"grid", grid}, {"t", at::zeros({3}, at::kInt)}});
    FAIL() << "ran";
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("[3], expected [2]"), std::string::npos)
        << error.what();
  }
}

TEST(SeedTask, RefusesTheOtherObjectivesParts) {
  SudokuTaskOptions options = seed_options(tiny_net(), 3);
  options.model.select("sudoku_net");
  EXPECT_THROW(make_sudoku_task(options)->make_model(1), ConfigError);
  options = seed_options(tiny_net(), 3);
  const auto task = make_sudoku_task(options);
  EXPECT_THROW(task->evaluation(Choice(evaluation_kinds(), "solve"), nullptr, {17, 0}),
               ConfigError);
  EXPECT_THROW(task->check(ToyDataset({toy_grid(0)}, {})), DataError);  // no stored order
  options.objective = "masked";
  EXPECT_THROW(make_sudoku_task(options)->make_model(1), ConfigError);
}

// --- validation and sampling ---

std::vector<double> sums_of(const Evaluation& evaluation, Model& model) {
  const at::NoGradGuard no_grad;
  std::vector<double> sums;
  for (int64_t i = 0; i < evaluation.num_chunks(); ++i) {
    const EvaluationChunk chunk = evaluation.chunk(model, i);
    sums.resize(chunk.sums.size());
    for (size_t k = 0; k < sums.size(); ++k) sums[k] += chunk.sums[k];
  }
  return sums;
}

template <class T>
Choice choose(const char* kind, const T& options) {
  static const KindList kinds = evaluation_kinds();
  Choice choice(kinds, kind);
  dynamic_cast<OptionsOf<T>&>(*choice.options).value = options;
  return choice;
}

TEST(SeedValidation, GivesTheSameScoresInAnyBatch) {
  const auto task = make_sudoku_task(seed_options(tiny_net(), 3));
  const auto model = task->make_model(3);
  const ToyDataset data = ordered_data(20);
  const auto scores = [&](int64_t batch) {
    const auto evaluation = task->evaluation(
        choose("seed_validation", SeedValidationOptions{0, 20, batch}), &data, {17, 0});
    return evaluation->scores(sums_of(*evaluation, *model));
  };
  const Scores one = scores(20), two = scores(7);
  for (const auto& [name, value] : one) EXPECT_NEAR(value, two.at(name), 1e-6) << name;
  EXPECT_NEAR(one.at("validation_loss"), one.at("position_loss") + one.at("value_loss"), 1e-9);
  EXPECT_NEAR(one.at("validation_accuracy"),
              (one.at("position_accuracy") + one.at("value_accuracy")) / 2, 1e-9);
  EXPECT_GT(one.at("validation_loss"), one.at("validation_floor"));  // an untrained network
}

TEST(SeedValidation, EveryWindowComesOnceInATurn) {
  std::set<std::pair<int64_t, int64_t>> seen;
  for (int64_t id = 0; id < 78 * 3; ++id) {
    const SeedWindow window = seed_validation_window(id, 3);
    seen.insert({window.start, window.count});
  }
  EXPECT_EQ(seen.size(), size_t(78 * 3));
  EXPECT_EQ(seen.begin()->first, 0);
  EXPECT_EQ(seen.rbegin()->first, 77);
}

TEST(SeedSampling, FillsOneCellAStepAndKeepsGivens) {
  const SeedConv net(tiny_net(), 3);
  const Grid puzzle = testing::toy_puzzle(toy_grid(1), 3);
  const auto grids = sample_seed(net, {Grid{}, puzzle, toy_grid(4)}, 17, 0, 2);
  for (size_t cell = 0; cell < 81; ++cell) {
    if (puzzle[cell] != 0) {
      EXPECT_EQ(grids[1][cell], puzzle[cell]);
    }
    EXPECT_LE(grids[0][cell], 9);
  }
  EXPECT_EQ(grids[2], toy_grid(4));  // nothing masked, no step left
  const auto alone = sample_seed(net, {puzzle}, 17, 1, 1);
  EXPECT_EQ(alone[0], grids[1]);  // the same number in another batch
}

TEST(SeedSampling, TheSeedsCheckPassesMaskedCells) {
  Grid grid{};
  EXPECT_TRUE(passes_seed_check(grid));
  EXPECT_FALSE(is_solved_grid(grid.data()));
  grid[0] = grid[8] = 4;
  EXPECT_FALSE(passes_seed_check(grid));
  EXPECT_TRUE(passes_seed_check(toy_grid(0)));
}

}  // namespace
}  // namespace lockstep
