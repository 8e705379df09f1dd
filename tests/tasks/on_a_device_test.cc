// The two halves of a task's loss, as a step on a GPU uses them.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/errors.h"
#include "tasks/task.h"
#include "tests/tasks/toy_sudoku.h"
#include "train/plan/run_config.h"

namespace lockstep {
namespace {

Batch sudoku_batch(int64_t rows) {
  Batch batch;
  at::Tensor solutions = at::empty({rows, kCells}, at::kByte),
             orders = at::empty({rows, kCells}, at::kByte);
  for (int64_t row = 0; row < rows; ++row) {
    const Grid grid = testing::toy_grid(static_cast<int>(row));
    std::copy(grid.begin(), grid.end(), solutions.mutable_data_ptr<uint8_t>() + row * kCells);
    for (int64_t i = 0; i < kCells; ++i)
      orders.mutable_data_ptr<uint8_t>()[row * kCells + i] = static_cast<uint8_t>(i);
    batch.ids.push_back(row);
    batch.indices.push_back(row);
  }
  at::Tensor puzzles = solutions.clone();
  puzzles.narrow(1, 0, 40).zero_();
  batch.arrays = {{"solution", solutions}, {"order", orders}, {"puzzle", puzzles}};
  return batch;
}

// What padding adds counts nothing.
TEST(TasksOnADevice, PaddedStatesOfTheSeedGiveTheLossOfTheTrueOnes) {
  const LoadedConfig loaded = load_config(
      "-", {"task.kind=sudoku", "task.objective=seed", "task.k_max=5",
            "task.model={kind: seed_conv, hidden_dim: 8, num_layers: 1, num_groups: 2}"});
  const auto task = loaded.kinds->tasks.make(loaded.config->task);
  const auto model = task->make_model(1);
  const LossInputs exact = task->loss_inputs(sudoku_batch(6), {17, 3}),
                   padded = task->loss_inputs(sudoku_batch(6), {17, 3, 1});
  EXPECT_LT(exact.at("times").size(0), 30);
  EXPECT_EQ(padded.at("times").size(0), 30) << "one length: rows times k_max";
  const LossTensors a = task->loss_tensors(*model, exact), b = task->loss_tensors(*model, padded);
  EXPECT_NEAR(a.sum.item<float>(), b.sum.item<float>(), 1e-4f * a.sum.item<float>());
  EXPECT_EQ(a.correct.item<int64_t>(), b.correct.item<int64_t>());
  EXPECT_EQ(exact.count, padded.count);
}

}  // namespace
}  // namespace lockstep
