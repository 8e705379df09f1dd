// The promise of the project's name, with ranks as threads of one process.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "tests/train/tiny_run.h"
#include "train/checkpoint.h"

namespace lockstep {
namespace {

using testing::TemporaryFolder;

constexpr int64_t kSteps = 6;

std::string result_of(int ranks, const std::vector<std::string>& more) {
  const TemporaryFolder folder;
  std::vector<std::string> overrides = testing::tiny_overrides(kSteps);
  overrides.insert(overrides.end(), more.begin(), more.end());
  testing::train_on_threads(folder.path() / "run", ranks, overrides);
  return testing::checkpoint_bytes({folder.path() / "run"}, kSteps);
}

// state.json holds the hash of the config, which names precision and batch: compare within one.
void expect_same_bits(const std::vector<std::string>& common) {
  std::vector<std::string> one = common;
  one.push_back("launch.threads_per_rank=1");
  const std::string expected = result_of(1, one);
  ASSERT_GT(expected.size(), 100'000u);
  for (const int ranks : {1, 2, 3, 4, 8})
    for (const int threads : {1, 2}) {
      std::vector<std::string> more = common;
      more.push_back("launch.threads_per_rank=" + std::to_string(threads));
      EXPECT_TRUE(result_of(ranks, more) == expected)
          << ranks << " ranks x " << threads << " slot threads differ";
    }
}

TEST(RanksAsThreads, GiveTheSameBitsInFp32) { expect_same_bits({}); }

TEST(RanksAsThreads, GiveTheSameBitsInBf16) {
  expect_same_bits({"precision.compute=bf16", "train.steps=6"});
}

TEST(RanksAsThreads, GiveTheSameBitsWithTwoMicroBatchesASlot) {
  expect_same_bits({"train.micro_batch=1"});
}

TEST(RanksAsThreads, GiveTheSameBitsWithFourLoaderThreads) {
  EXPECT_TRUE(result_of(2, {"data.threads=1"}) == result_of(2, {"data.threads=4"}));
}

TEST(RanksAsThreads, GiveTheSameBitsAfterAResumeOnAnotherNumberOfRanks) {
  const TemporaryFolder folder;
  // The schedule is constant so that a run of three steps is the beginning of one of six.
  std::vector<std::string> short_run = testing::tiny_overrides(3),
                           long_run = testing::tiny_overrides(kSteps);
  for (auto* overrides : {&short_run, &long_run}) overrides->push_back("schedule={kind: constant}");
  testing::train_on_threads(folder.path() / "straight", 1, long_run);
  testing::train_on_threads(folder.path() / "resumed", 4, short_run);
  testing::train_on_threads(folder.path() / "resumed", 2, long_run);
  EXPECT_TRUE(testing::checkpoint_bytes({folder.path() / "straight"}, kSteps) ==
              testing::checkpoint_bytes({folder.path() / "resumed"}, kSteps));
}

// Four blocks, the last one short: on 8 ranks four own nothing.
const std::vector<std::string> kFourBlocks = {
    "task.model={kind: sudoku_net, channels: 32, hidden: 64, blocks: 12, iterations: 4, "
    "loss_depths: [4]}",
    "ddp.bucket_megabytes=1"};

// state.json ends with the config, which sharding is a part of (design rule 16), and names its
// hash.
std::string without_identity(std::string checkpoint) {
  const size_t begin = checkpoint.find("\"config_hash\"");
  checkpoint.erase(begin, checkpoint.find('\n', begin) - begin);
  return checkpoint.erase(checkpoint.find("\"config\""));
}

std::string sharded_result(int ranks, int threads, const std::vector<std::string>& more,
                           bool sharded = true) {
  std::vector<std::string> overrides = kFourBlocks;
  overrides.insert(overrides.end(), more.begin(), more.end());
  overrides.push_back("launch.threads_per_rank=" + std::to_string(threads));
  if (sharded) overrides.push_back("ddp.shard_optimizer=true");
  return result_of(ranks, overrides);
}

TEST(RanksAsThreads, GiveTheSameBitsWithAShardedOptimizer) {
  const std::string whole = sharded_result(1, 1, {}, false), one = sharded_result(1, 1, {});
  ASSERT_GT(whole.size(),
            4u * 4 * 196'608);  // model, EMA and two moments of more than three blocks
  EXPECT_TRUE(without_identity(one) == without_identity(whole));
  for (const auto& [ranks, threads] :
       std::vector<std::pair<int, int>>{{2, 2}, {3, 1}, {4, 1}, {8, 1}})
    EXPECT_TRUE(sharded_result(ranks, threads, {}) == one)
        << ranks << " ranks x " << threads << " threads";
}

TEST(RanksAsThreads, GiveTheSameBitsWithOtherShardedOptimizers) {
  for (const std::string optimizer :
       {"optimizer={kind: sgd, lr: 0.1, momentum: 0.9, nesterov: true}",
        "optimizer={kind: adam, implementation: foreach}"})
    EXPECT_TRUE(without_identity(sharded_result(3, 1, {optimizer, "ddp.overlap=false"})) ==
                without_identity(sharded_result(1, 1, {optimizer, "ddp.overlap=false"}, false)))
        << optimizer;
}

TEST(RanksAsThreads, AShardedRunGoesOnOnAnotherNumberOfRanks) {
  const TemporaryFolder folder;
  std::vector<std::string> short_run = testing::tiny_overrides(3),
                           long_run = testing::tiny_overrides(kSteps);
  for (auto* overrides : {&short_run, &long_run}) {
    overrides->insert(overrides->end(), kFourBlocks.begin(), kFourBlocks.end());
    overrides->insert(overrides->end(), {"schedule={kind: constant}", "ddp.shard_optimizer=true"});
  }
  testing::train_on_threads(folder.path() / "straight", 1, long_run);
  testing::train_on_threads(folder.path() / "resumed", 4, short_run);
  testing::train_on_threads(folder.path() / "resumed", 3, long_run);
  EXPECT_TRUE(testing::checkpoint_bytes({folder.path() / "straight"}, kSteps) ==
              testing::checkpoint_bytes({folder.path() / "resumed"}, kSteps));
}

// The decision to keep a best checkpoint is rank 0's, and all ranks must follow it to hand in their
// shares.
TEST(RanksAsThreads, AShardedRunKeepsTheBestCheckpoint) {
  const TemporaryFolder folder;
  std::vector<std::string> overrides = testing::tiny_overrides(kSteps);
  overrides.insert(overrides.end(), kFourBlocks.begin(), kFourBlocks.end());
  overrides.insert(overrides.end(),
                   {"ddp.shard_optimizer=true", "checkpoint.keep_best=validation_loss",
                    "evaluate=[{kind: validation_loss, every_steps: 2, samples: 10}]"});
  testing::train_on_threads(folder.path() / "run", 3, overrides);
  const TrainState state = load_state(RunFolder{folder.path() / "run"}.checkpoint(kSteps));
  ASSERT_TRUE(state.best_score.has_value());
  EXPECT_NO_THROW(verify_checkpoint(RunFolder{folder.path() / "run"}.checkpoint(state.best_step)));
}

TEST(RanksAsThreads, AnotherSeedGivesOtherWeights) {
  EXPECT_FALSE(result_of(1, {"run.seed=17"}) == result_of(1, {"run.seed=18"}));
}

TEST(RanksAsThreads, MetricsNameEachStepOnceThroughAResume) {
  const TemporaryFolder folder;
  std::vector<std::string> short_run = testing::tiny_overrides(3),
                           long_run = testing::tiny_overrides(kSteps);
  for (auto* overrides : {&short_run, &long_run}) overrides->push_back("schedule={kind: constant}");
  testing::train_on_threads(folder.path(), 2, short_run);
  testing::train_on_threads(folder.path(), 1, long_run);
  std::vector<int64_t> steps;
  std::istringstream lines(read_file(RunFolder{folder.path()}.metrics()));
  for (std::string line; std::getline(lines, line);) {
    const auto json = nlohmann::json::parse(line);
    if (!json.contains("kind")) steps.push_back(json.at("step"));
  }
  EXPECT_EQ(steps, (std::vector<int64_t>{1, 2, 3, 4, 5, 6}));
}

TEST(RanksAsThreads, RefuseMoreRanksThanSlots) {
  const TemporaryFolder folder;
  EXPECT_THROW(testing::train_on_threads(folder.path(), 9, testing::tiny_overrides(2)),
               ConfigError);
}

}  // namespace
}  // namespace lockstep
