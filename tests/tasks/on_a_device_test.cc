// The device's half of every task's loss, on LibTorch's `meta` device: it computes shapes alone and refuses
// to mix with tensors of the CPU, so it finds what would stay behind when a model moves to a GPU, and what
// would read values on the host and so break a recorded step.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/errors.h"
#include "tasks/task.h"
#include "tests/tasks/toy_sudoku.h"
#include "train/run_config.h"

namespace lockstep {
namespace {

LossInputs moved(const LossInputs& inputs, at::Device device) {
  LossInputs out = inputs;
  for (auto& [name, tensor] : out.tensors) tensor = tensor.to(device);
  return out;
}

// Loss and gradients of the task that a config names, on `meta`.
void expect_runs_on_a_device(const std::string& kind, std::vector<std::string> overrides, const Batch& batch) {
  overrides.insert(overrides.begin(), "task.kind=" + kind);
  const LoadedConfig loaded = load_config("-", overrides);
  const auto task = loaded.kinds->tasks.make(loaded.config->task);
  const auto model = task->make_model(1);
  const LossInputs inputs = task->loss_inputs(batch, {17, 3, /*few_shapes=*/8});
  model->to(at::kMeta);
  EXPECT_TRUE(model->device().is_meta());
  const LossTensors loss = task->loss_tensors(*model, moved(inputs, at::kMeta));
  ASSERT_TRUE(loss.sum.is_meta()) << kind;
  EXPECT_EQ(loss.sum.dim(), 0) << kind;
  loss.sum.backward();
  for (const NamedTensor& entry : model->parameters())
    EXPECT_TRUE(entry.tensor.grad().defined() && entry.tensor.grad().is_meta()) << entry.name;
}

Batch sudoku_batch(int64_t rows) {
  Batch batch;
  at::Tensor solutions = at::empty({rows, kCells}, at::kByte), orders = at::empty({rows, kCells}, at::kByte);
  for (int64_t row = 0; row < rows; ++row) {
    const Grid grid = testing::toy_grid(static_cast<int>(row));
    std::copy(grid.begin(), grid.end(), solutions.mutable_data_ptr<uint8_t>() + row * kCells);
    for (int64_t i = 0; i < kCells; ++i) orders.mutable_data_ptr<uint8_t>()[row * kCells + i] = static_cast<uint8_t>(i);
    batch.ids.push_back(row);
    batch.indices.push_back(row);
  }
  at::Tensor puzzles = solutions.clone();
  puzzles.narrow(1, 0, 40).zero_();
  batch.arrays = {{"solution", solutions}, {"order", orders}, {"puzzle", puzzles}};
  return batch;
}

TEST(TasksOnADevice, MaskedSudokuLeavesNothingOnTheCpu) {
  expect_runs_on_a_device("sudoku", {"task.model={kind: sudoku_net, iterations: 2, loss_depths: [1, 2]}"}, sudoku_batch(4));
}

TEST(TasksOnADevice, TheSeedLeavesNothingOnTheCpu) {
  for (const std::string width : {"0", "10"})
    expect_runs_on_a_device("sudoku",
                            {"task.objective=seed", "task.model={kind: seed_conv, hidden_dim: 8, num_layers: 1, num_groups: 2, "
                                                    "embedding_dim: " + width + "}"},
                            sudoku_batch(4));
}

TEST(TasksOnADevice, Sudoku2vecLeavesNothingOnTheCpu) { expect_runs_on_a_device("sudoku2vec", {}, sudoku_batch(4)); }

TEST(TasksOnADevice, ImageDiffusionLeavesNothingOnTheCpu) {
  Batch batch;
  for (int64_t id = 0; id < 2; ++id) {
    batch.ids.push_back(id);
    batch.indices.push_back(id);
  }
  batch.arrays["images"] = at::full({2, 3, 16, 16}, 100, at::kByte);
  for (const std::string more : {"self_condition: false", "self_condition: true", "learned_variance: true"})
    expect_runs_on_a_device("image_diffusion",
                            {"task.image_size=16", "task.diffusion.timesteps=20",
                             "task.model={kind: unet, dim: 8, dim_mults: [1, 2], attn_heads: 2, attn_dim_head: 8, " + more + "}"},
                            batch);
}

// What padding adds counts nothing.
TEST(TasksOnADevice, PaddedStatesOfTheSeedGiveTheLossOfTheTrueOnes) {
  const LoadedConfig loaded = load_config("-", {"task.kind=sudoku", "task.objective=seed", "task.k_max=5",
                                                "task.model={kind: seed_conv, hidden_dim: 8, num_layers: 1, num_groups: 2}"});
  const auto task = loaded.kinds->tasks.make(loaded.config->task);
  const auto model = task->make_model(1);
  const LossInputs exact = task->loss_inputs(sudoku_batch(6), {17, 3}), padded = task->loss_inputs(sudoku_batch(6), {17, 3, 1});
  EXPECT_LT(exact.at("times").size(0), 30);
  EXPECT_EQ(padded.at("times").size(0), 30) << "one length: rows times k_max";
  const LossTensors a = task->loss_tensors(*model, exact), b = task->loss_tensors(*model, padded);
  EXPECT_NEAR(a.sum.item<float>(), b.sum.item<float>(), 1e-4f * a.sum.item<float>());
  EXPECT_EQ(a.correct.item<int64_t>(), b.correct.item<int64_t>());
  EXPECT_EQ(exact.count, padded.count);
}

}  // namespace
}  // namespace lockstep
