#include "tasks/sudoku_seed/seed_task.h"

#include <cstring>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "data/sudoku/sudoku_puzzles.h"
#include "tasks/sudoku/sudoku_commands.h"
#include "tasks/sudoku_seed/seed_evaluations.h"
#include "tasks/sudoku_seed/seed_loss.h"
#include "tasks/sudoku_seed/seed_sampling.h"
#include "tensor/safetensors.h"

namespace lockstep {
namespace {

Grid grid_at(const at::Tensor& array, int64_t row) {
  Grid grid;
  std::memcpy(grid.data(), array.const_data_ptr<uint8_t>() + row * kCells, sizeof grid);
  return grid;
}

at::Tensor in_range(const NamedTensors& inputs, const std::string& name,
                    const std::vector<int64_t>& shape, int64_t low, int64_t high) {
  const at::Tensor values = expect_integer(inputs, name, shape);
  if (values.numel() > 0 &&
      (values.min().item<int64_t>() < low || values.max().item<int64_t>() > high))
    throw DataError(
        fmt::format("the input tensor '{}' has values outside {}..{}", name, low, high));
  return values;
}

class SeedTask : public Task {
 public:
  explicit SeedTask(const SudokuTaskOptions& options) : options_(options) {}

  std::unique_ptr<Model> make_model(uint64_t seed) const override {
    auto model = sudoku_models().make(options_.model, seed);
    as_seed_conv(*model);
    return model;
  }

  void initialise(Model& model) const override { as_seed_conv(model).load_embedding(); }

  void check(const Dataset& dataset) const override {
    bool solution = false, order = false;
    for (const ArrayInfo& array : dataset.arrays()) {
      const bool fits = array.dtype == at::kByte && array.shape == std::vector<int64_t>{kCells};
      solution |= array.name == "solution" && fits;
      order |= array.name == "order" && fits;
    }
    if (!solution)
      throw DataError("the dataset has no array 'solution' u8 [81]",
                      "the sudoku task needs data of kind grids");
    if (!order && options_.sequence.order == "stored")
      throw DataError(
          "the dataset has no array 'order' u8 [81], and task.sequence.order is stored",
          "make data with `lockstep data make sudoku-sequences`, or set task.sequence.order=fresh");
  }

  LossInputs loss_inputs(const Batch& batch, const StepContext& context) const override {
    SeedStates states = states_of(batch, context);
    if (context.few_shapes > 0)
      states = padded(states, batch.rows() * options_.k_max, context.few_shapes);
    LossInputs inputs;
    inputs.count = states.steps;
    inputs.guesses = 2 * states.steps;
    inputs.tensors = {{"cells", states.cells},
                      {"times", states.times},
                      {"position", states.position},
                      {"value", states.value}};
    if (states.counts.defined()) inputs.tensors["counts"] = states.counts;
    return inputs;
  }

  LossTensors loss_tensors(Model& model, const LossInputs& inputs) const override {
    SeedStates states{inputs.at("cells"), inputs.at("times"), inputs.at("position"),
                      inputs.at("value")};
    if (inputs.tensors.contains("counts")) states.counts = inputs.at("counts");
    if (states.times.numel() == 0) return {at::zeros({}), {}};
    const SeedLoss sums = seed_loss(as_seed_conv(model).logits(states.cells, states.times), states);
    return {sums.sum(), sums.correct_positions + sums.correct_values};
  }

  double nominal_count(int64_t rows) const override {
    return static_cast<double>(rows * (options_.k_max + 1)) / 2;
  }

  std::unique_ptr<Evaluation> evaluation(const Choice& choice, const EvaluationData& data,
                                         const StepContext& context) const override {
    if (seed_evaluations().find(choice.kind) == nullptr)
      throw ConfigError("evaluation " + choice.kind + " does not belong to task.objective: seed",
                        "it has seed_validation, seed_samples and seed_solve");
    if (data.validation != nullptr) check(*data.validation);
    return seed_evaluations().make(
        choice,
        SeedEvaluationInput{data.validation, context, options_.k_max, options_.sequence.order});
  }

  NamedTensors forward(Model& model, const NamedTensors& inputs) const override {
    refuse_unknown(inputs, {"grid", "t", "sequences", "start", "count"});
    const bool with_loss = find_tensor(inputs, "sequences") != nullptr;
    at::Tensor sequences, start;
    if (with_loss) {
      sequences =
          in_range(inputs, "sequences", {-1, kCells + 1, 9, 9}, 0, 9).to(at::kByte).flatten(2);
      start = in_range(inputs, "start", {sequences.size(0)}, 0, kCells);
    }
    at::Tensor grid =
        with_loss && find_tensor(inputs, "grid") == nullptr
            ? sequences.index({at::arange(sequences.size(0)), start})
            : in_range(inputs, "grid", {with_loss ? sequences.size(0) : -1, 9, 9}, 0, 9);
    const at::Tensor t = with_loss && find_tensor(inputs, "t") == nullptr
                             ? start
                             : in_range(inputs, "t", {grid.size(0)}, 0, kCells);
    SeedConv& net = as_seed_conv(model);
    const SeedLogits logits =
        net.logits(grid.to(at::kByte).reshape({-1, kCells}), t.to(at::kFloat));
    NamedTensors outputs = {{"position_logits", logits.position}, {"value_logits", logits.value}};
    if (with_loss) outputs.push_back({"loss", sequence_loss(net, sequences, start, inputs)});
    return outputs;
  }

  std::vector<SampleFlag> sample_flags() const override { return sudoku_sample_flags(); }

  void sample(Model& model, const SampleRequest& request) const override {
    if (asks_for_puzzles(request)) {
      complete_seed_puzzles(as_seed_conv(model), request);
    } else {
      sample_seed_grids(as_seed_conv(model), request);
    }
  }

 private:
  SeedStates states_of(const Batch& batch, const StepContext& context) const {
    const bool stored = options_.sequence.order == "stored";
    const at::Tensor& solutions = batch.array("solution");
    const at::Tensor& orders = stored ? batch.array("order") : solutions;
    const Stream symmetries(context.seed, Purpose::kSymmetry);
    SeedStatesBuilder builder;
    for (int64_t row = 0; row < batch.rows(); ++row) {
      const int64_t id = batch.ids[static_cast<size_t>(row)];
      if (id < 0) continue;
      Grid solution = grid_at(solutions, row);
      if (options_.sequence.symmetry) {
        Draws draws(symmetries, static_cast<uint64_t>(id), static_cast<uint32_t>(context.step));
        Grid unused = solution;
        shuffle_symmetry(unused, solution, draws);
      }
      const CellOrder order =
          stored ? grid_at(orders, row) : seed_order(context.seed, id, context.step);
      const SeedWindow window = seed_window(context.seed, id, context.step, options_.k_max);
      builder.add_sequence(solution, order, window.start, window.count);
    }
    return builder.finish();
  }

  at::Tensor sequence_loss(const SeedConv& net, const at::Tensor& sequences,
                           const at::Tensor& start, const NamedTensors& inputs) const {
    const at::Tensor count = in_range(inputs, "count", {sequences.size(0)}, 1, options_.k_max);
    std::vector<SeedWindow> windows;
    for (int64_t row = 0; row < count.size(0); ++row)
      windows.push_back({start[row].item<int64_t>(), count[row].item<int64_t>()});
    const SeedStates states = states_of_sequences(sequences.contiguous(), windows);
    if (states.times.numel() == 0) return at::zeros({});
    return seed_loss(net.logits(states.cells, states.times), states).sum() /
           std::max(states.steps, 1.0);
  }

  SudokuTaskOptions options_;
};

}  // namespace

std::unique_ptr<Task> make_seed_task(const SudokuTaskOptions& options) {
  return std::make_unique<SeedTask>(options);
}

SeedConv& as_seed_conv(Model& model) {
  auto* net = dynamic_cast<SeedConv*>(&model);
  if (net == nullptr)
    throw ConfigError(
        "task.objective is seed, and task.model.kind names a network without position and value "
        "heads",
        "use task.model.kind: seed_conv, or task.objective: masked");
  return *net;
}

}  // namespace lockstep
