// Five steps of AdamW on the seed's loss, against PyTorch in double
// (tests/tasks/golden/make_seed_conv.py).
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "optim/optimizers.h"
#include "tasks/sudoku_seed/seed_task.h"
#include "tensor/safetensors.h"

namespace lockstep {
namespace {

struct Case {
  const char* file;
  SeedConvOptions net;
  int64_t k_max;
};

class SeedTrajectory : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(
    Networks, SeedTrajectory,
    ::testing::Values(Case{"seed_conv.safetensors", {4, 2, 3, 2, 0, ""}, 3},
                      Case{"seed_embedding.safetensors", {4, 1, 5, 2, 3, ""}, 4}));

TEST_P(SeedTrajectory, FiveStepsOfAdamWGiveTheWeightsOfPyTorch) {
  const NamedTensors golden =
      load_safetensors(std::string(LOCKSTEP_SOURCE_DIR "/tests/tasks/golden/") + GetParam().file);
  SudokuTaskOptions options;
  options.objective = "seed";
  options.k_max = GetParam().k_max;
  options.model.select("seed_conv");
  dynamic_cast<OptionsOf<SeedConvOptions>&>(*options.model.options).value = GetParam().net;
  const auto task = make_sudoku_task(options);
  const auto model = task->make_model(1);
  NamedTensors weights, inputs;
  for (const NamedTensor& entry : golden)
    if (entry.name.starts_with("weight.")) weights.push_back({entry.name.substr(7), entry.tensor});
  for (const char* name : {"sequences", "start", "count"})
    inputs.push_back({name, *find_tensor(golden, name)});
  model->load(weights, "the golden file");

  const ArenaLayout layout = ArenaLayout::of(model->parameters());
  Arena arena(layout), gradients(layout);
  arena.load(model->parameters(), "", "the golden file");
  model->alias_parameters(arena.views());
  const auto table = optimizers();
  Choice adamw(table, "adamw");
  auto& adam = dynamic_cast<OptionsOf<AdamWOptions>&>(*adamw.options).value;
  adam.lr = 1e-3;
  adam.weight_decay = 1e-4;
  const auto optimizer = table.make(adamw, layout);

  for (int step = 0; step < 5; ++step) {
    const at::Tensor loss = *find_tensor(task->forward(*model, inputs), "loss");
    const double wanted = find_tensor(golden, "loss_after." + std::to_string(step))->item<double>();
    EXPECT_NEAR(loss.item<double>(), wanted, 2e-6 * wanted) << "step " << step;
    for (const NamedTensor& parameter : model->parameters())
      parameter.tensor.mutable_grad() = at::Tensor();
    loss.backward();
    NamedTensors named;
    for (const NamedTensor& parameter : model->parameters())
      named.push_back({parameter.name, parameter.tensor.grad()});
    gradients.load(named, "", "the gradients");
    optimizer->step(arena, gradients, {.lr = adam.lr});
  }
  int compared = 0;
  for (const NamedTensor& entry : golden) {
    if (!entry.name.starts_with("trained.")) continue;
    const std::string name = entry.name.substr(8);
    const at::Tensor got = *find_tensor(model->parameters(), name);
    const double error = ((got - entry.tensor).norm() / entry.tensor.norm()).item<double>();
    EXPECT_LT(error, 1e-6) << name;
    ++compared;
  }
  EXPECT_GT(compared, 20);
}

}  // namespace
}  // namespace lockstep
