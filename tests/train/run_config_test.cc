#include "train/plan/run_config.h"

#include <gtest/gtest.h>

#include <fstream>

#include "core/errors.h"
#include "core/files.h"
#include "tests/train/tiny_run.h"
#include "train/plan/identity.h"

namespace lockstep {
namespace {

std::string hash_with(std::vector<std::string> overrides) {
  const LoadedConfig loaded = load_config("-", overrides);
  return config_hash(*loaded.config);
}

TEST(ConfigHash, IgnoresWhatDoesNotChangeResults) {
  const std::string base = hash_with({});
  for (const char* harmless :
       {"run.folder=elsewhere", "launch.ranks_per_node=4", "launch.max_restarts=0",
        "log.every_steps=3", "data.threads=4", "checkpoint.every_steps=7", "checkpoint.keep=9",
        "ddp.bucket_megabytes=1", "ddp.overlap=false", "ddp.timeout_seconds=5"})
    EXPECT_EQ(hash_with({harmless}), base) << harmless;
}

TEST(ConfigHash, ChangesWithEverythingElse) {
  const std::string base = hash_with({});
  for (const char* matters :
       {"run.seed=18", "run.cpu_isa=avx2", "ddp.slots=4", "ddp.reduce=allreduce",
        "precision.compute=bf16", "optimizer.lr=0.5", "schedule.kind=cosine", "train.steps=7",
        "train.global_batch=32", "train.clip_norm=2", "train.ema.decay=0.9", "run.name=other"})
    EXPECT_NE(hash_with({matters}), base) << matters;
}

TEST(RunConfig, PrintsAndReadsBackToTheSameIdentity) {
  LoadedConfig loaded =
      load_config("-", {"train.steps=5", "optimizer={kind: sgd, lr: 0.1, momentum: 0.9}",
                        "train.ema={decay: 0.99, every_steps: 2}", "launch.ranks_per_node=2"});
  const std::string text =
      print_yaml([&](FieldVisitor& v) { loaded.config->fields(v); }, &loaded.sources);
  const testing::TemporaryFolder folder;
  const fs::path path = folder.path() / "config.yaml";
  write_file_atomic(path, text);
  LoadedConfig again = load_config(path.string(), {});
  EXPECT_EQ(identity_json(*again.config), identity_json(*loaded.config));
  EXPECT_EQ(again.config->launch.ranks_per_node.value, 2);
}

TEST(RunConfig, AnUnknownKeyNamesTheNearestOneAndItsPlace) {
  const testing::TemporaryFolder folder;
  const fs::path path = folder.path() / "run.yaml";
  write_file_atomic(path, "run: {name: x}\noptimizer:\n  lrr: 0.1\n");
  try {
    load_config(path.string(), {});
    FAIL() << "the key was accepted";
  } catch (const ConfigError& error) {
    const std::string message = error.message();
    EXPECT_NE(message.find("lrr"), std::string::npos) << message;
    EXPECT_NE(message.find("'lr'"), std::string::npos) << message;
    EXPECT_NE(message.find("run.yaml:3:"), std::string::npos) << message;
  }
}

const std::string kPlugin = "run.plugins=[" LOCKSTEP_TEST_PLUGIN "]";

TEST(Plugins, AddAKindWithStrictOptions) {
  const LoadedConfig loaded =
      load_config("-", {kPlugin, "schedule={kind: halving, every_updates: 10}"});
  const auto schedule = loaded.kinds->schedules.make(loaded.config->schedule);
  SchedulePosition position;
  position.updates = 25;
  EXPECT_DOUBLE_EQ(schedule->rate(0.8, position), 0.2);
  EXPECT_THROW(load_config("-", {kPlugin, "schedule={kind: halving, every_updates: 0}"}),
               ConfigError);
  EXPECT_THROW(load_config("-", {kPlugin, "schedule={kind: halving, every: 3}"}), ConfigError);
}

TEST(Plugins, AddNothingToARunThatDoesNotNameThem) {
  EXPECT_THROW(load_config("-", {"schedule={kind: halving}"}), ConfigError);
}

TEST(Plugins, TrainLikeBuiltInKinds) {
  const testing::TemporaryFolder folder;
  std::vector<std::string> overrides = testing::tiny_overrides(3);
  overrides.push_back(kPlugin);
  overrides.emplace_back("schedule={kind: halving, every_updates: 1}");
  EXPECT_EQ(testing::train_on_threads(folder.path(), 2, overrides), 3);
  EXPECT_NE(read_file(RunFolder{folder.path()}.metrics()).find("\"lr\":0.00025"),
            std::string::npos);
}

TEST(Plugins, AMissingOneIsAnEnvironmentError) {
  EXPECT_THROW(load_config("-", {"run.plugins=[/nowhere/libmine.so]"}), EnvironmentError);
}

}  // namespace
}  // namespace lockstep
