#include "train/plan/run_plan.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "tests/train/tiny_run.h"
#include "train/plan/identity.h"
#include "train/prepare.h"

namespace lockstep {
namespace {

RunPlan plan_of(std::vector<std::string> overrides, Machine machine = {2, 0, "avx2"},
                DataFacts data = {1000, 0, "h"}) {
  const LoadedConfig loaded = load_config("-", overrides);
  return make_plan(*loaded.config, machine, data);
}

std::string refusal(std::vector<std::string> overrides) {
  try {
    plan_of(std::move(overrides));
  } catch (const ConfigError& error) {
    return error.message();
  }
  return "";
}

TEST(RunPlan, TakesTheLargestSlotCountThatDividesTheBatch) {
  EXPECT_EQ(plan_of({"train.global_batch=16", "train.steps=1"}).slots, 8);
  EXPECT_EQ(plan_of({"train.global_batch=12", "train.steps=1"}).slots, 4);
  EXPECT_EQ(plan_of({"train.global_batch=6", "train.steps=1"}).slots, 2);
  EXPECT_EQ(plan_of({"train.global_batch=7", "train.steps=1"}).slots, 1);
}

TEST(RunPlan, CutsASlotIntoMicroBatches) {
  const RunPlan plan = plan_of({"train.global_batch=64", "train.micro_batch=2", "train.steps=1"});
  EXPECT_EQ(plan.micro_batches_per_slot, 4);
  EXPECT_EQ(plan.rows_per_slot(), 8);
}

TEST(RunPlan, CountsStepsOfEpochsUpwards) {
  // ceil(3 · 1000 / 16) = 188.
  EXPECT_EQ(plan_of({"train.global_batch=16", "train.epochs=3"}).steps, 188);
  EXPECT_EQ(plan_of({"train.global_batch=10", "train.epochs=2"}).steps, 200);
}

TEST(RunPlan, SharesCoresAmongRanksAndNeverHasMoreThreadsThanSlots) {
  const Machine machine{16, 0, "avx2"};
  EXPECT_EQ(plan_of({"train.global_batch=16", "train.steps=1"}, machine).threads_per_rank, 8);
  EXPECT_EQ(plan_of({"train.global_batch=16", "train.steps=1", "launch.ranks_per_node=4"}, machine)
                .threads_per_rank,
            2);
  EXPECT_EQ(plan_of({"train.global_batch=16", "train.steps=1", "launch.ranks_per_node=2"})
                .threads_per_rank,
            1);
}

TEST(RunPlan, DoesNotDependOnTheRanksWhereResultsAreConcerned) {
  std::string hash;
  for (const char* ranks : {"1", "2", "8"}) {
    LoadedConfig loaded = load_config("-", {"train.global_batch=16", "train.steps=5",
                                            std::string("launch.ranks_per_node=") + ranks});
    const RunPlan plan = make_plan(*loaded.config, {2, 0, "avx2"}, {1000, 0, "h"});
    resolve(*loaded.config, plan);
    const std::string now = config_hash(*loaded.config);
    if (!hash.empty()) {
      EXPECT_EQ(now, hash);
    }
    hash = now;
  }
}

TEST(RunPlan, SaysWhatDoesNotFitTogether) {
  EXPECT_NE(refusal({"train.global_batch=10", "ddp.slots=4", "train.steps=1"}).find("10"),
            std::string::npos);
  EXPECT_NE(refusal({"train.global_batch=16", "train.micro_batch=3", "train.steps=1"})
                .find("micro_batch"),
            std::string::npos);
  EXPECT_NE(
      refusal({"train.global_batch=16", "launch.ranks_per_node=9", "train.steps=1"}).find("slots"),
      std::string::npos);
  EXPECT_NE(refusal({"train.steps=1", "train.epochs=1"}).find("both"), std::string::npos);
  EXPECT_NE(refusal({"step.graph=on", "train.steps=1"}).find("graph"), std::string::npos);
}

TEST(RunPlan, KeepsWhatWasMeasuredAndReadsPlansWithoutIt) {
  const testing::TemporaryFolder folder;
  const auto file = folder.path() / "plan.json";
  nlohmann::ordered_json json = to_json(plan_of({"train.steps=1"}));
  json["run_folder"] = "somewhere";
  json.erase("update_implementation");
  json.erase("update_reason");
  write_file_atomic(file, json.dump());
  EXPECT_EQ(plan_from_json(read_file(file), "plan.json").update_implementation, "")
      << "of an older run";
  keep_in_plan(file, "foreach", "it was faster");
  const RunPlan plan = plan_from_json(read_file(file), "plan.json");
  EXPECT_EQ(plan.update_implementation, "foreach");
  EXPECT_EQ(plan.update_reason, "it was faster");
  EXPECT_EQ(nlohmann::json::parse(read_file(file)).at("run_folder"), "somewhere");
}

TEST(RunPlan, RefusesADeviceThatIsNotThere) {
  EXPECT_THROW(plan_of({"run.device=cuda", "train.steps=1"}), EnvironmentError);
}

}  // namespace
}  // namespace lockstep
