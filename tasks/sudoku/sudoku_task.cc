#include "tasks/sudoku/sudoku_task.h"

#include <cstring>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "models/sudoku/sudoku_net.h"
#include "tasks/sudoku/sudoku_commands.h"
#include "tasks/sudoku/sudoku_evaluations.h"
#include "tasks/sudoku/sudoku_predict.h"
#include "tasks/sudoku_seed/seed_task.h"
#include "tensor/safetensors.h"

namespace lockstep {
namespace {

SudokuBoard board_at(const at::Tensor& array, int64_t row) {
  SudokuBoard board;
  std::memcpy(board.data(), array.const_data_ptr<uint8_t>() + row * kCells, sizeof board);
  return board;
}

void put_board(at::Tensor& array, int64_t row, const SudokuBoard& board) {
  std::memcpy(array.mutable_data_ptr<uint8_t>() + row * kCells, board.data(), sizeof board);
}

void check_grid_array(const Dataset& dataset, const std::string& name) {
  for (const ArrayInfo& array : dataset.arrays()) {
    if (array.name != name) continue;
    if (array.dtype == at::kByte && array.shape == std::vector<int64_t>{kCells}) return;
    throw DataError("the dataset's array '" + name + "' is not u8 [81]",
                    "the sudoku task needs data of kind grids");
  }
  throw DataError("the dataset has no array '" + name + "'",
                  "the sudoku task needs data of kind grids; only with task.masks.uniform_share=1 "
                  "it needs no puzzles");
}

// i64 [B,81] between low and 9, as u8.
at::Tensor grid_input(const NamedTensors& inputs, const std::string& name, int64_t batch,
                      int64_t low) {
  const at::Tensor grid = expect_integer(inputs, name, {batch, kCells});
  if (grid.numel() > 0 && (grid.min().item<int64_t>() < low || grid.max().item<int64_t>() > 9))
    throw DataError(fmt::format("the input tensor '{}' has values outside {}..9", name, low));
  return grid.to(at::kByte);
}

class SudokuTask : public Task {
 public:
  explicit SudokuTask(const SudokuTaskOptions& options) : options_(options) {}

  std::unique_ptr<Model> make_model(uint64_t seed) const override {
    auto model = sudoku_models().make(options_.model, seed);
    if (dynamic_cast<MaskedGridModel*>(model.get()) == nullptr)
      throw ConfigError("task.objective is masked, and task.model.kind " + options_.model.kind +
                            " gives no digit for each cell",
                        "use task.model.kind: sudoku_net, or task.objective: seed");
    return model;
  }

  void check(const Dataset& dataset) const override {
    check_grid_array(dataset, "solution");
    if (needs_puzzles()) check_grid_array(dataset, "puzzle");
  }

  LossInputs loss_inputs(const Batch& batch, const StepContext& context) const override {
    const at::Tensor& solutions = batch.array("solution");
    const at::Tensor& puzzles = needs_puzzles() ? batch.array("puzzle") : solutions;
    at::Tensor cells = at::zeros({batch.rows(), kCells}, at::kByte),
               targets = at::zeros_like(cells);
    LossInputs inputs;
    for (int64_t row = 0; row < batch.rows(); ++row) {
      const int64_t id = batch.ids[static_cast<size_t>(row)];
      if (id < 0) continue;  // padding: no targets, so no loss and no gradient
      const SudokuExample example = sudoku_example(board_at(solutions, row), board_at(puzzles, row),
                                                   context.seed, id, context.step, options_.masks);
      put_board(cells, row, example.cells);
      put_board(targets, row, example.targets);
      inputs.count += 1;
    }
    inputs.tensors = {{"cells", cells}, {"targets", targets}};
    return inputs;
  }

  LossTensors loss_tensors(Model& model, const LossInputs& inputs) const override {
    return {as_masked_grid(model).loss_sum(inputs.at("cells"), inputs.at("targets")), {}};
  }

  double nominal_count(int64_t rows) const override { return static_cast<double>(rows); }

  std::unique_ptr<Evaluation> evaluation(const Choice& choice, const EvaluationData& data,
                                         const StepContext& context) const override {
    if (data.validation != nullptr) check_grid_array(*data.validation, "solution");
    if (sudoku_evaluations().find(choice.kind) == nullptr)
      throw ConfigError("evaluation " + choice.kind + " does not belong to task.objective: masked",
                        "it has validation_loss, solve and samples");
    return sudoku_evaluations().make(choice, SudokuEvaluationInput{data.validation, context});
  }

  NamedTensors forward(Model& model, const NamedTensors& inputs) const override {
    refuse_unknown(inputs, {"cells", "solution"});
    const at::Tensor cells = grid_input(inputs, "cells", -1, 0);
    NamedTensors outputs;
    const at::Tensor logits = as_masked_grid(model).logits(cells);
    outputs.push_back({"logits", logits});
    if (find_tensor(inputs, "solution") != nullptr) {
      const at::Tensor solution = grid_input(inputs, "solution", cells.size(0), 1);
      const at::Tensor targets = solution * cells.eq(0).to(at::kByte);
      const double batch = static_cast<double>(std::max<int64_t>(cells.size(0), 1));
      outputs.push_back({"loss", sudoku_reference_loss({logits}, targets) / batch});
    }
    return outputs;
  }

  std::vector<SampleFlag> sample_flags() const override { return sudoku_sample_flags(); }

  void sample(Model& model, const SampleRequest& request) const override {
    const SudokuPredict predict = predict_with(as_masked_grid(model));
    if (asks_for_puzzles(request)) {
      solve_puzzles(predict, request);
    } else {
      sample_grids(predict, request);
    }
  }

 private:
  bool needs_puzzles() const { return options_.masks.uniform_share < 1; }
  SudokuTaskOptions options_;
};

}  // namespace

std::unique_ptr<Task> make_sudoku_task(const SudokuTaskOptions& options) {
  if (options.objective == "seed") return make_seed_task(options);
  return std::make_unique<SudokuTask>(options);
}

}  // namespace lockstep
