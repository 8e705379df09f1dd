// What a run on a CPU says about switches that were made for GPUs.
#include <gtest/gtest.h>

#include "core/errors.h"
#include "train/fallbacks.h"

namespace lockstep {
namespace {

constexpr CpuAbilities kOld, kNew{true, true, true};

std::string texts(std::vector<std::string> overrides, const CpuAbilities& cpu) {
  overrides.insert(overrides.end(), {"train.steps=1", "train.global_batch=16"});
  const LoadedConfig loaded = load_config("-", overrides);
  const RunPlan plan = make_plan(*loaded.config, {2, 0, "avx2"}, {1000, 0, "h"});
  std::string all;
  for (const std::string& text : fallbacks(loaded, plan, cpu)) all += text + "\n";
  return all;
}

TEST(Fallbacks, SayNothingAboutSwitchesThatNobodyNamed) {
  EXPECT_EQ(texts({}, kOld), "");
  EXPECT_EQ(texts({"precision.compute=fp32", "optimizer.implementation=reference"}, kOld), "");
}

TEST(Fallbacks, TellThatACpuHasNoGraphsInTheSeedsWordsToo) {
  EXPECT_EQ(texts({"step.graph=auto"}, kNew),
            "step.graph: auto: a CPU has no CUDA graphs; continuing with the step operation by "
            "operation\n");
  EXPECT_EQ(
      texts({"step.graph=auto", "log.style=seed"}, kNew),
      "⚠️  Could not compile model: step.graph needs CUDA graphs, and this run computes on a CPU\n"
      "   Continuing without compilation\n");
}

TEST(Fallbacks, TellWhenLowPrecisionIsSlower) {
  for (const char* compute : {"bf16", "bf16_weights"}) {
    const std::string key = std::string("precision.compute=") + compute;
    EXPECT_NE(texts({key}, kOld).find("no bf16 instructions; continuing"), std::string::npos)
        << compute;
    EXPECT_NE(texts({key}, {true, false, true}).find("no AMX"), std::string::npos) << compute;
    EXPECT_EQ(texts({key}, kNew), "") << compute;
  }
  for (const char* compute : {"fp16", "fp16_weights"})
    EXPECT_NE(
        texts({std::string("precision.compute=") + compute}, kNew).find("compute fp16 in fp32"),
        std::string::npos)
        << compute;
}

TEST(Fallbacks, TellWhenTheFusedUpdateIsPlainCode) {
  for (const char* implementation : {"auto", "fused"}) {
    const std::string key = std::string("optimizer.implementation=") + implementation;
    EXPECT_EQ(texts({key}, kNew), "");
    EXPECT_NE(texts({key}, kOld).find("this CPU has no AVX2; continuing"), std::string::npos)
        << implementation;
  }
}

}  // namespace
}  // namespace lockstep
