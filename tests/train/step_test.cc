// Design rules 6, 10 and the meaning of an update, on a task with a closed form.
#include <gtest/gtest.h>

#include <cmath>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "data/sample_order.h"
#include "data/shards/dataset_writer.h"
#include "tests/train/tiny_run.h"
#include "train/checkpoint.h"

namespace lockstep {
namespace {

constexpr int64_t kSamples = 24;

// y = 3x − 1 on x = 0, 0.125, …; sums of such numbers are exact in float.
double x_of(int64_t id) { return static_cast<double>(id) / 8; }
double y_of(int64_t id) { return 3 * x_of(id) - 1; }

class Step : public ::testing::Test {
 protected:
  void SetUp() override {
    std::vector<float> x, y;
    for (int64_t id = 0; id < kSamples; ++id) {
      x.push_back(static_cast<float>(x_of(id)));
      y.push_back(static_cast<float>(y_of(id)));
    }
    testing::write_float_arrays(folder_.path() / "data", {{"x", x}, {"y", y}});
  }

  // Trains `steps` steps of plain SGD with rate 2^-6 on `ranks` ranks; returns the checkpoint.
  CheckpointContent train(int64_t steps, int ranks, const std::vector<std::string>& more = {}) {
    const fs::path run = folder_.path() / ("run-" + std::to_string(++runs_));
    std::vector<std::string> overrides = {
        "run.plugins=[" LOCKSTEP_TEST_LINE_TASK "]",
        "task.kind=line",
        "data.kind=arrays",
        "data.train=[" + (folder_.path() / "data" / "*.h5").string() + "]",
        "train.global_batch=8",
        "train.steps=" + std::to_string(steps),
        "checkpoint.every_steps=0",
        "log.every_steps=1",
        "optimizer={kind: sgd, lr: 0.015625}"};
    overrides.insert(overrides.end(), more.begin(), more.end());
    testing::train_on_threads(run, ranks, overrides);
    last_ = RunFolder{run};
    return load_checkpoint(last_.latest());
  }

  // Goes on with the last run up to `steps` steps.
  CheckpointContent resume(int64_t steps, int ranks, const std::vector<std::string>& more) {
    --runs_;
    return train(steps, ranks, more);
  }

  testing::TemporaryFolder folder_;
  RunFolder last_;
  int runs_ = 0;
};

std::vector<float> weights_of(const CheckpointContent& content) {
  const at::Tensor w = *find_tensor(content.model, "w");
  return {w[0].item<float>(), w[1].item<float>()};
}

// One step of SGD on the mean of squares, in double, in the order of the samples.
void descend(double& w0, double& w1, int64_t step) {
  const SampleOrder order(kSamples, 17);
  double g0 = 0, g1 = 0;
  for (int64_t j = 0; j < 8; ++j) {
    const int64_t id = order.id(step * 8 + j);
    const double error = w0 * x_of(id) + w1 - y_of(id);
    g0 += 2 * error * x_of(id);
    g1 += 2 * error;
  }
  w0 -= 0.015625 * g0 / 8;
  w1 -= 0.015625 * g1 / 8;
}

TEST_F(Step, DescendsTheMeanOverTheGlobalBatch) {
  double w0 = 0.5, w1 = -0.25;
  for (int64_t step = 0; step < 5; ++step) descend(w0, w1, step);
  for (const int ranks : {1, 2, 3, 8}) {
    const std::vector<float> w = weights_of(train(5, ranks));
    EXPECT_NEAR(w[0], w0, 2e-6) << ranks;
    EXPECT_NEAR(w[1], w1, 2e-6) << ranks;
  }
}

TEST_F(Step, DoesNotDependOnTheMicroBatch) {
  double w0 = 0.5, w1 = -0.25;
  for (int64_t step = 0; step < 5; ++step) descend(w0, w1, step);
  for (const char* cut : {"ddp.slots=1", "ddp.slots=2", "ddp.slots=4"}) {
    const std::vector<float> w = weights_of(train(5, 1, {cut, "train.micro_batch=1"}));
    EXPECT_NEAR(w[0], w0, 2e-6) << cut;
    EXPECT_NEAR(w[1], w1, 2e-6) << cut;
  }
}

TEST_F(Step, AllReduceGivesCloseNumbers) {
  const std::vector<float> tree = weights_of(train(5, 4)),
                           library = weights_of(train(5, 4, {"ddp.reduce=allreduce"}));
  EXPECT_NEAR(tree[0], library[0], 1e-6);
  EXPECT_NEAR(tree[1], library[1], 1e-6);
}

TEST_F(Step, AnUnusedParameterStaysAsItIs) {
  const CheckpointContent content = train(3, 2);
  EXPECT_TRUE(at::equal(*find_tensor(content.model, "unused"), at::ones({3})));
}

TEST_F(Step, AFrozenParameterStaysAsItIs) {
  const CheckpointContent content =
      train(3, 2, {"optimizer={kind: sgd, lr: 0.1, groups: [{match: w, freeze: true}]}"});
  EXPECT_EQ(weights_of(content), (std::vector<float>{0.5f, -0.25f}));
}

TEST_F(Step, WithoutFiniteGradientsChangesNothingButTheStep) {
  const CheckpointContent content =
      train(3, 2, {"task={kind: line, poison_from: 0, poison_to: 3}", "train.ema.decay=0.9"});
  EXPECT_EQ(weights_of(content), (std::vector<float>{0.5f, -0.25f}));
  EXPECT_EQ(content.state.step, 3);
  EXPECT_EQ(content.state.updates, 0);
  EXPECT_EQ(content.state.skipped_in_a_row, 3);
  EXPECT_TRUE(at::equal(*find_tensor(content.ema, "w"), *find_tensor(content.model, "w")));
}

TEST_F(Step, GoesOnAfterASkippedOne) {
  double w0 = 0.5, w1 = -0.25;
  for (const int64_t step : {0, 2, 3}) descend(w0, w1, step);
  const CheckpointContent content =
      train(4, 2, {"task={kind: line, poison_from: 1, poison_to: 2}"});
  EXPECT_NEAR(weights_of(content)[0], w0, 2e-6);
  EXPECT_EQ(content.state.updates, 3);
}

TEST_F(Step, ManySkippedInARowEndTheRun) {
  EXPECT_THROW(train(20, 1, {"task={kind: line, poison_from: 2, poison_to: 20}"}), NumericError);
}

// The scale is a power of two, and this task computes nothing in half precision: not a bit may
// change.
TEST_F(Step, ScalingTheLossChangesNoBit) {
  const CheckpointContent plain = train(5, 2, {"train.clip_norm=1"});
  const CheckpointContent scaled = train(
      5, 2, {"train.clip_norm=1", "precision={compute: fp16, loss_scale: {growth_steps: 2}}"});
  EXPECT_EQ(weights_of(scaled), weights_of(plain));
  EXPECT_EQ(scaled.state.loss_scale, (LossScale::State{65536 * 4, 1}));
}

TEST_F(Step, AnOverflowHalvesTheLossScaleAndChangesNothingElse) {
  const CheckpointContent content = train(3, 2,
                                          {"task={kind: line, poison_from: 0, poison_to: 3}",
                                           "train.ema.decay=0.9", "precision.compute=fp16"});
  EXPECT_EQ(weights_of(content), (std::vector<float>{0.5f, -0.25f}));
  EXPECT_EQ(content.state.step, 3);
  EXPECT_EQ(content.state.updates, 0);
  EXPECT_EQ(content.state.loss_scale, (LossScale::State{65536 / 8, 0}));
}

TEST_F(Step, OverflowsAtTheFloorEndTheRun) {
  const std::string poison = "task={kind: line, poison_from: 0, poison_to: 30}";
  const std::string precision =
      "precision={compute: fp16, loss_scale: {initial: 65536, smallest: 1, most_skips: 4}}";
  EXPECT_NO_THROW(
      train(15, 1, {poison, precision}));  // above the floor it only looks for its level
  EXPECT_THROW(train(30, 1, {poison, precision}), NumericError);
}

TEST_F(Step, TheLossScaleSurvivesAResume) {
  const std::vector<std::string> overrides = {
      "task={kind: line, poison_from: 1, poison_to: 2}",
      "precision={compute: fp16, loss_scale: {growth_steps: 3}}"};
  const CheckpointContent whole = train(7, 2, overrides);
  EXPECT_EQ(whole.state.loss_scale,
            (LossScale::State{65536, 2}));  // halved, three good ones, doubled, two more
  const CheckpointContent first = train(4, 1, overrides);
  EXPECT_EQ(first.state.loss_scale, (LossScale::State{65536 / 2, 2}));
  const CheckpointContent second = resume(7, 4, overrides);
  EXPECT_EQ(second.state.loss_scale, whole.state.loss_scale);
  EXPECT_EQ(weights_of(second), weights_of(whole));
}

// Weights of 0.5 and -0.25 are half a bfloat16 step (2^-9, 2^-10) away from noticing these updates;
// the masters must.
TEST_F(Step, Float32MastersRememberWhatLowPrecisionWeightsForget) {
  const std::string rate = "optimizer={kind: sgd, lr: 5.0e-6}";
  const std::vector<float> exact = weights_of(train(4, 1, {rate}));
  for (const char* compute : {"bf16_weights", "fp16_weights"}) {
    const std::vector<float> w = weights_of(train(
        4, 2,
        {rate, std::string("precision={loss_scale: {initial: 16}, compute: ") + compute + "}"}));
    for (int i : {0, 1}) {
      const float start = i == 0 ? 0.5f : -0.25f;
      EXPECT_NE(w[i], start) << compute;
      EXPECT_LT(std::abs(w[i] - start), 0x1p-11) << compute;
      EXPECT_NEAR(w[i] - start, exact[i] - start, 0.01 * std::abs(exact[i] - start)) << compute;
    }
  }
}

TEST_F(Step, LogsTheGlobalMeanAndTheNormBeforeClipping) {
  train(1, 2, {"train.clip_norm=0.001"});
  const SampleOrder order(kSamples, 17);
  double loss = 0, g0 = 0, g1 = 0;
  for (int64_t j = 0; j < 8; ++j) {
    const int64_t id = order.id(j);
    const double error = 0.5 * x_of(id) - 0.25 - y_of(id);
    loss += error * error / 8;
    g0 += 2 * error * x_of(id) / 8;
    g1 += 2 * error / 8;
  }
  std::istringstream lines(read_file(last_.metrics()));
  std::string line;
  std::getline(lines, line);  // the attempt
  std::getline(lines, line);
  const auto json = nlohmann::json::parse(line);
  EXPECT_NEAR(json.at("loss").get<double>(), loss, 1e-6 * loss);
  EXPECT_NEAR(json.at("grad_norm").get<double>(), std::hypot(g0, g1), 1e-6 * std::hypot(g0, g1));
}

TEST_F(Step, ClipsTheWholeStep) {
  const std::vector<float> w = weights_of(train(1, 2, {"train.clip_norm=0.001"}));
  EXPECT_NEAR(std::hypot(w[0] - 0.5, w[1] + 0.25), 0.015625 * 0.001, 1e-7);
}

TEST_F(Step, AveragesWeightsByTheEmaRule) {
  // warmup false: ema += (1 − d)(w − ema) after each update.
  double w0 = 0.5, w1 = -0.25, e0 = w0;
  for (int64_t step = 0; step < 4; ++step) {
    descend(w0, w1, step);
    e0 += (1 - 0.75) * (w0 - e0);
  }
  const CheckpointContent content = train(4, 2, {"train.ema={decay: 0.75, warmup: false}"});
  EXPECT_NEAR((*find_tensor(content.ema, "w"))[0].item<float>(), e0, 2e-6);
}

}  // namespace
}  // namespace lockstep
