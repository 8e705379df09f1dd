#include "tasks/sudoku_seed/sudoku2vec_task.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "data/sudoku/sudoku_puzzles.h"
#include "tensor/safetensors.h"

namespace lockstep {
namespace {

// Grids with one masked cell each, N of them.
struct Rows {
  at::Tensor cells;   // u8 [N,81], the digit still in place
  at::Tensor target;  // i64 [N]
  at::Tensor digit;   // i64 [N]
  int64_t count() const { return target.size(0); }
};

// `targets` different cells of each grid that is no padding, by (stream, id, step).
Rows make_rows(const at::Tensor& solutions, const std::vector<int64_t>& ids, int64_t targets,
               const Stream& stream, int64_t step) {
  std::vector<int64_t> row_of, target;
  for (size_t row = 0; row < ids.size(); ++row) {
    if (ids[row] < 0) continue;
    std::array<int64_t, kCells> cells;
    std::iota(cells.begin(), cells.end(), int64_t{0});
    Draws draws(stream, static_cast<uint64_t>(ids[row]), static_cast<uint32_t>(step));
    for (int64_t k = 0; k < targets; ++k) {
      std::swap(cells[size_t(k)], cells[size_t(k + draws.below(static_cast<int>(kCells - k)))]);
      row_of.push_back(static_cast<int64_t>(row));
      target.push_back(cells[size_t(k)]);
    }
  }
  Rows rows;
  rows.cells = solutions.index_select(0, at::tensor(row_of, at::kLong));
  rows.target = at::tensor(target, at::kLong);
  rows.digit = rows.cells.to(at::kLong).gather(1, rows.target.unsqueeze(1)).squeeze(1);
  return rows;
}

struct Sums {
  at::Tensor loss;     // with a graph
  at::Tensor correct;  // i64
};

Sums sums_of(const at::Tensor& similarity, const at::Tensor& digit) {
  const at::Tensor own = similarity.gather(1, digit.unsqueeze(1)).squeeze(1);
  return {(1 - own).clamp_min(0).sum(), similarity.detach().argmax(1).eq(digit).sum()};
}

Sudoku2Vec& as_sudoku2vec(Model& model) {
  auto* net = dynamic_cast<Sudoku2Vec*>(&model);
  if (net == nullptr) throw InternalError("the sudoku2vec task got a model of another task");
  return *net;
}

class Sudoku2VecValidation : public Evaluation {
 public:
  Sudoku2VecValidation(const Sudoku2VecValidationOptions& options,
                       const Sudoku2VecEvaluationInput& input)
      : data_(*input.validation),
        seed_(input.context.seed),
        targets_(input.targets),
        batch_(options.batch),
        samples_(std::min(options.samples, data_.size())) {}

  std::vector<ScoreInfo> declared_scores() const override {
    return {{"validation_accuracy", false}, {"validation_loss", true}};
  }
  int64_t num_chunks() const override { return (samples_ + batch_ - 1) / batch_; }

  // Sums: masked cells, loss, right answers.
  EvaluationChunk chunk(Model& model, int64_t index) const override {
    const int64_t first = index * batch_;
    std::vector<int64_t> ids(static_cast<size_t>(std::min(batch_, samples_ - first)));
    std::iota(ids.begin(), ids.end(), first);
    const Stream stream(seed_, Purpose::kEvaluation);
    const Rows rows = make_rows(data_.read(ids).array("solution"), ids, targets_, stream, 0);
    const Sudoku2Vec& net = as_sudoku2vec(model);
    const Sums sums = sums_of(net.similarity(net.predict(rows.cells, rows.target)), rows.digit);
    return {{static_cast<double>(rows.count()), sums.loss.to(at::kDouble).item<double>(),
             static_cast<double>(sums.correct.item<int64_t>())},
            {}};
  }

  Scores scores(const std::vector<double>& sums) const override {
    return {{"validation_loss", sums.at(1) / sums.at(0)},
            {"validation_accuracy", sums.at(2) / sums.at(0)}};
  }

 private:
  const Dataset& data_;
  uint64_t seed_;
  int64_t targets_, batch_, samples_;
};

class Sudoku2VecTask : public Task {
 public:
  explicit Sudoku2VecTask(const Sudoku2VecTaskOptions& options) : options_(options) {}

  std::unique_ptr<Model> make_model(uint64_t seed) const override {
    return std::make_unique<Sudoku2Vec>(options_.model, seed);
  }

  void check(const Dataset& dataset) const override {
    for (const ArrayInfo& array : dataset.arrays())
      if (array.name == "solution" && array.dtype == at::kByte &&
          array.shape == std::vector<int64_t>{kCells})
        return;
    throw DataError("the dataset has no array 'solution' u8 [81]",
                    "the sudoku2vec task needs data of kind grids");
  }

  LossInputs loss_inputs(const Batch& batch, const StepContext& context) const override {
    const Stream stream(context.seed, Purpose::kMask);
    const Rows rows =
        make_rows(batch.array("solution"), batch.ids, options_.targets, stream, context.step);
    LossInputs inputs;
    inputs.count = inputs.guesses = static_cast<double>(rows.count());
    inputs.tensors = {{"cells", rows.cells}, {"target", rows.target}, {"digit", rows.digit}};
    return inputs;
  }

  LossTensors loss_tensors(Model& model, const LossInputs& inputs) const override {
    if (inputs.at("target").numel() == 0) return {at::zeros({}), {}};
    const Sudoku2Vec& net = as_sudoku2vec(model);
    const Sums sums = sums_of(net.similarity(net.predict(inputs.at("cells"), inputs.at("target"))),
                              inputs.at("digit"));
    return {sums.loss, sums.correct};
  }

  double nominal_count(int64_t rows) const override {
    return static_cast<double>(rows * options_.targets);
  }

  std::unique_ptr<Evaluation> evaluation(const Choice& choice, const EvaluationData& data,
                                         const StepContext& context) const override {
    if (sudoku2vec_evaluations().find(choice.kind) == nullptr)
      throw ConfigError("evaluation " + choice.kind + " does not belong to task.kind: sudoku2vec",
                        "it has sudoku2vec_validation");
    if (data.validation == nullptr)
      throw ConfigError("evaluation " + choice.kind + " needs validation data",
                        "set data.validation");
    check(*data.validation);
    return sudoku2vec_evaluations().make(
        choice, Sudoku2VecEvaluationInput{data.validation, context, options_.targets});
  }

  NamedTensors forward(Model& model, const NamedTensors& inputs) const override {
    refuse_unknown(inputs, {"cells", "target"});
    const at::Tensor cells = expect_integer(inputs, "cells", {-1, kCells});
    const at::Tensor target = expect_integer(inputs, "target", {cells.size(0)});
    if (cells.numel() > 0 && (cells.min().item<int64_t>() < 1 || cells.max().item<int64_t>() > 9))
      throw DataError("the input tensor 'cells' has values outside 1..9");
    if (target.numel() > 0 &&
        (target.min().item<int64_t>() < 0 || target.max().item<int64_t>() >= kCells))
      throw DataError("the input tensor 'target' has values outside 0..80");
    const Sudoku2Vec& net = as_sudoku2vec(model);
    const at::Tensor similarity = net.similarity(net.predict(cells.to(at::kByte), target));
    const at::Tensor digit = cells.gather(1, target.unsqueeze(1)).squeeze(1);
    const double rows = static_cast<double>(std::max<int64_t>(1, cells.size(0)));
    return {{"similarity", similarity}, {"loss", sums_of(similarity, digit).loss / rows}};
  }

  void sample(Model&, const SampleRequest&) const override {
    throw ConfigError("task.kind sudoku2vec draws no samples",
                      "give the run to a seed_conv: task.model.embedding=RUN");
  }

 private:
  Sudoku2VecTaskOptions options_;
};

}  // namespace

const Sudoku2VecEvaluationTable& sudoku2vec_evaluations() {
  static const Sudoku2VecEvaluationTable table = [] {
    Sudoku2VecEvaluationTable rows("evaluation");
    rows.add<Sudoku2VecValidationOptions>(
        "sudoku2vec_validation", "task sudoku2vec: loss and accuracy on held-out grids",
        [](const Sudoku2VecValidationOptions& options, const Sudoku2VecEvaluationInput& input) {
          return std::make_unique<Sudoku2VecValidation>(options, input);
        });
    return rows;
  }();
  return table;
}

std::unique_ptr<Task> make_sudoku2vec_task(const Sudoku2VecTaskOptions& options) {
  return std::make_unique<Sudoku2VecTask>(options);
}

}  // namespace lockstep
