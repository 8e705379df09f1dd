#include <cstring>
#include <numeric>

#include <ATen/ATen.h>

#include "core/errors.h"
#include "models/sudoku/sudoku_net.h"
#include "tasks/sudoku/sudoku_evaluations.h"
#include "tasks/sudoku/sudoku_masks.h"
#include "tasks/sudoku/sudoku_predict.h"

namespace lockstep {
namespace {

class SudokuValidationLoss : public Evaluation {
 public:
  SudokuValidationLoss(const ValidationLossOptions& options, const Dataset& data, uint64_t seed)
      : data_(data),
        seed_(seed),
        batch_(options.batch),
        samples_(std::min(options.samples, data.size())) {}

  std::vector<ScoreInfo> declared_scores() const override { return {{"validation_loss", true}}; }
  int64_t num_chunks() const override { return (samples_ + batch_ - 1) / batch_; }

  EvaluationChunk chunk(Model& model, int64_t index) const override {
    const int64_t first = index * batch_, count = std::min(batch_, samples_ - first);
    std::vector<int64_t> ids(static_cast<size_t>(count));
    std::iota(ids.begin(), ids.end(), first);
    const at::Tensor solutions = data_.read(ids).array("solution");
    at::Tensor cells = at::empty({count, kCells}, at::kByte), targets = at::empty_like(cells);
    for (int64_t row = 0; row < count; ++row) {
      SudokuBoard solution;
      std::memcpy(solution.data(), solutions.const_data_ptr<uint8_t>() + row * kCells, kCells);
      const int64_t id = ids[static_cast<size_t>(row)];
      const SudokuExample example =
          sudoku_evaluation_example(solution, static_cast<int>(1 + id % kCells), seed_, id);
      std::memcpy(cells.mutable_data_ptr<uint8_t>() + row * kCells, example.cells.data(), kCells);
      std::memcpy(targets.mutable_data_ptr<uint8_t>() + row * kCells, example.targets.data(),
                  kCells);
    }
    const at::Tensor logits = as_masked_grid(model).logits(cells).to(at::kDouble);
    return {{sudoku_reference_loss({logits}, targets).item<double>(), static_cast<double>(count)},
            {}};
  }

  Scores scores(const std::vector<double>& sums) const override {
    return {{"validation_loss", sums.at(0) / sums.at(1)}};
  }

 private:
  const Dataset& data_;
  uint64_t seed_;
  int64_t batch_, samples_;
};

}  // namespace

std::unique_ptr<Evaluation> make_sudoku_validation_loss(const ValidationLossOptions& options,
                                                        const SudokuEvaluationInput& input) {
  if (input.validation == nullptr)
    throw ConfigError("evaluation validation_loss needs validation data", "set data.validation");
  return std::make_unique<SudokuValidationLoss>(options, *input.validation, input.context.seed);
}

}  // namespace lockstep
