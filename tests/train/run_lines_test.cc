// The seed's lines, byte for byte. The wanted texts are what Python's format strings give:
//   f"Epoch {e:4d}/{n} | Loss: {loss:.4f} | Acc: {acc:.4f} | LR: {lr:.6f}" and so on.
#include "train/run_lines.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/errors.h"

namespace lockstep {
namespace {

using Lines = std::vector<std::string>;

RunLinesSetup setup_of(const std::string& style) {
  RunLinesSetup setup;
  setup.style = style;
  setup.steps = 4000;  // 4 batches an epoch, 1,000 epochs
  setup.global_batch = 256;
  setup.train_samples = 1024;
  setup.epochs = 1000;
  return setup;
}

Lines run_steps(RunLines& lines, int64_t first, int64_t last, double loss, double accuracy,
                double next_lr) {
  Lines out;
  for (int64_t step = first; step <= last; ++step)
    for (const std::string& line : lines.step({step, loss, accuracy, next_lr, true}))
      out.push_back(line);
  return out;
}

TEST(SeedTrainerLines, StartAsTheNotebookDoes) {
  RunLinesSetup setup = setup_of("seed");
  setup.train_samples = 1000;
  setup.mixed_precision = true;
  EXPECT_EQ(make_run_lines(setup)->start(),
            (Lines{"Using mixed precision: True",
                   "Dataset size: 1000, Batch size: 256, Batches per epoch: 4"}));
  setup.mixed_precision = false;
  EXPECT_EQ(make_run_lines(setup)->start().front(), "Using mixed precision: False");
}

TEST(SeedTrainerLines, ShowTheLineOfTheSeedsDocument) {
  const auto lines = make_run_lines(setup_of("seed"));
  // The example line of the seed's "Monitor the time per epoch in the output".
  EXPECT_EQ(run_steps(*lines, 1, 4, 5.83189, 0.07281, 1e-4),
            Lines{"Epoch    1/1000 | Loss: 5.8319 | Acc: 0.0728 | LR: 0.000100"});
}

TEST(SeedTrainerLines, AverageTheBatchesOfAnEpochAndForgetThemAfterwards) {
  const auto lines = make_run_lines(setup_of("seed"));
  EXPECT_TRUE(lines->step({1, 8.0, 0.1, 1e-3, true}).empty());
  EXPECT_TRUE(lines->step({2, 6.0, 0.2, 1e-3, true}).empty());
  EXPECT_TRUE(lines->step({3, 4.0, 0.3, 1e-3, true}).empty());
  EXPECT_EQ(lines->step({4, 2.0, 0.4, 5e-4, true}),
            Lines{"Epoch    1/1000 | Loss: 5.0000 | Acc: 0.2500 | LR: 0.000500"});
  EXPECT_EQ(run_steps(*lines, 5, 8, 1.5, 0.5, 2.5e-7),
            Lines{"Epoch    2/1000 | Loss: 1.5000 | Acc: 0.5000 | LR: 0.000000"});
}

TEST(SeedTrainerLines, KeepTheFirstTheLastAndEachIntervalsEpoch) {
  RunLinesSetup setup = setup_of("seed");
  setup.every_epochs = 5;
  setup.steps = 4 * 12;
  setup.epochs = 12;
  const auto lines = make_run_lines(setup);
  Lines epochs;
  for (const std::string& line : run_steps(*lines, 1, 48, 1, 1, 1))
    epochs.push_back(line.substr(0, 13));
  EXPECT_EQ(epochs, (Lines{"Epoch    1/12", "Epoch    5/12", "Epoch   10/12", "Epoch   12/12"}));
}

TEST(SeedTrainerLines, EndAnEpochThatABatchStraddles) {
  RunLinesSetup setup = setup_of("seed");
  setup.train_samples = 1000;  // 3.9 batches: epoch 1 ends within step 4, epoch 10 with step 40
  setup.steps = 40;
  setup.epochs.reset();
  const auto lines = make_run_lines(setup);
  const Lines shown = run_steps(*lines, 1, 40, 1, 1, 1);
  ASSERT_EQ(shown.size(), 11u);  // 10.24 epochs: the 10th and the begun 11th end with step 40
  EXPECT_EQ(shown[9].substr(0, 13), "Epoch   10/11");
  EXPECT_EQ(shown[10].substr(0, 13), "Epoch   11/11");
}

TEST(SeedTrainerLines, CountTheEpochsThatTheConfigAsksFor) {
  RunLinesSetup setup = setup_of("seed");
  setup.train_samples = 10;
  setup.global_batch = 8;
  setup.epochs = 2;
  setup.steps = 3;  // ⌈2·10/8⌉: the last batch reaches into a third epoch that nobody asked for
  Lines epochs;
  const auto lines = make_run_lines(setup);
  for (const std::string& line : run_steps(*lines, 1, 3, 1, 1, 1))
    epochs.push_back(line.substr(0, 12));
  EXPECT_EQ(epochs, (Lines{"Epoch    1/2", "Epoch    2/2"}));
}

TEST(SeedTrainerLines, GiveEachEpochALineWhenABatchHoldsSeveral) {
  RunLinesSetup setup = setup_of("seed");
  setup.train_samples = 4;
  setup.global_batch = 8;
  setup.epochs = 4;
  setup.steps = 2;
  EXPECT_EQ(run_steps(*make_run_lines(setup), 1, 2, 1, 1, 1).size(), 4u);
}

TEST(SeedTrainerLines, ShowValidationSamplesAndCheckpoints) {
  const auto lines = make_run_lines(setup_of("seed"));
  EXPECT_EQ(
      lines->evaluation(200, {{"validation_loss", 5.65321}, {"validation_accuracy", 0.10984}}),
      Lines{"Validation Loss: 5.6532 | Validation Acc: 0.1098"});
  EXPECT_EQ(lines->evaluation(200, {{"validity", 1.0}, {"distinct", 1.0}}),
            Lines{"Is valid: True"});
  EXPECT_EQ(lines->evaluation(200, {{"validity", 0.0}, {"validity_seed", 1.0}}),
            Lines{"Is valid: True"});
  EXPECT_EQ(lines->evaluation(200, {{"validity", 0.99}}), Lines{"Is valid: False"});
  EXPECT_EQ(lines->evaluation(200, {{"solve_rate.easy", 1.0}}), Lines{});
  EXPECT_EQ(lines->checkpoint("runs/seed/1/checkpoints/step-00000200"),
            Lines{"✓ Checkpoint saved: runs/seed/1/checkpoints/step-00000200"});
  EXPECT_FALSE(lines->has_bar());
}

TEST(SeedTrainerLines, WriteNanAsPythonDoesWhereATaskCountsNothing) {
  const auto lines = make_run_lines(setup_of("seed"));
  EXPECT_EQ(run_steps(*lines, 1, 4, 2, std::numeric_limits<double>::quiet_NaN(), 0.001),
            Lines{"Epoch    1/1000 | Loss: 2.0000 | Acc: nan | LR: 0.001000"});
}

TEST(SeedSweepLines, ShowStepsOfARunCountedInSteps) {
  RunLinesSetup setup = setup_of("seed_sweep");
  setup.steps = 10000;
  setup.epochs.reset();
  const auto lines = make_run_lines(setup);
  EXPECT_TRUE(lines->start().empty());
  EXPECT_TRUE(lines->step({200, 5.8319, 0.0728, 1e-3, true}).empty());
  EXPECT_EQ(lines->evaluation(200, {{"validation_loss", 5.7406}, {"validation_accuracy", 0.0849}}),
            Lines{"  Step    200/10000 | Train Loss: 5.8319 | Train Acc: 0.0728 | Val Loss: 5.7406 "
                  "| Val Acc: 0.0849"});
  EXPECT_TRUE(lines->evaluation(200, {{"validity", 1.0}}).empty());
}

TEST(SeedSweepLines, ShowEpochsOfARunCountedInEpochs) {
  RunLinesSetup setup = setup_of("seed_sweep");
  setup.steps = 1200;
  setup.epochs = 300;
  const auto lines = make_run_lines(setup);
  EXPECT_TRUE(lines->step({4, 5.8319, 0.0728, 1e-3, true}).empty());
  EXPECT_EQ(lines->evaluation(4, {{"validation_loss", 5.7406}, {"accuracy", 0.0849}}),
            Lines{"  Epoch   1/300 | Train Loss: 5.8319 | Train Acc: 0.0728 | Val Loss: 5.7406 | "
                  "Val Acc: 0.0849"});
}

TEST(RunLines, OfTheProjectItselfShowAllScoresAndSkippedUpdates) {
  const auto lines = make_run_lines(setup_of("lockstep"));
  EXPECT_TRUE(lines->has_bar());
  EXPECT_EQ(lines->evaluation(7, {{"validation_loss", 0.5}, {"validity", 1}}),
            Lines{"step 7:  validation_loss 0.5000  validity 1.0000"});
  EXPECT_EQ(lines->step({3, 1, 1, 1, false}),
            Lines{"step 3: gradients were not finite, no update"});
  EXPECT_THROW(make_run_lines(setup_of("sead")), ConfigError);
}

}  // namespace
}  // namespace lockstep
