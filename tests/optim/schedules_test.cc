#include "optim/schedules.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace lockstep {
namespace {

std::unique_ptr<Schedule> make(const std::string& kind, DecayScheduleOptions options) {
  const auto table = schedules();
  Choice choice(table, kind);
  if (kind == "constant") {
    auto typed = std::make_shared<OptionsOf<ConstantScheduleOptions>>();
    typed->value.warmup_steps = options.warmup_steps;
    choice.options = typed;
  } else {
    auto typed = std::make_shared<OptionsOf<DecayScheduleOptions>>();
    typed->value = options;
    choice.options = typed;
  }
  return table.make(choice);
}

TEST(Schedules, WarmUpIsAStraightLineThatReachesTheRate) {
  for (const char* kind : {"constant", "linear", "cosine"}) {
    const auto schedule = make(kind, {.warmup_steps = 4});
    for (int64_t u = 1; u <= 4; ++u)
      EXPECT_DOUBLE_EQ(schedule->rate(0.2, {.updates = u - 1, .total_updates = 20}),
                       0.2 * double(u) / 4)
          << kind;
    EXPECT_DOUBLE_EQ(schedule->rate(0.2, {.updates = 4, .total_updates = 20}), 0.2)
        << kind;  // x = 0
  }
}

TEST(Schedules, ConstantStays) {
  const auto schedule = make("constant", {});
  for (int64_t k : {0, 1, 1000})
    EXPECT_EQ(schedule->rate(3e-4, {.updates = k, .total_updates = 10}), 3e-4);
}

TEST(Schedules, LinearEndsOneStepBeforeItsFinalShare) {
  const auto schedule = make("linear", {.warmup_steps = 2, .final_share = 0.1});
  for (int64_t k = 2; k < 12; ++k) {
    const double x = double(k - 2) / 10;
    EXPECT_DOUBLE_EQ(schedule->rate(1.0, {.updates = k, .total_updates = 12}), 1 - 0.9 * x);
  }
  EXPECT_NEAR(schedule->rate(1.0, {.updates = 12, .total_updates = 12}), 0.1, 1e-15);
}

TEST(Schedules, CosineIsHalfACosine) {
  const auto schedule = make("cosine", {.warmup_steps = 0, .final_share = 0.25});
  EXPECT_DOUBLE_EQ(schedule->rate(2.0, {.updates = 50, .total_updates = 100}),
                   2 * (0.25 + 0.75 / 2));
  for (int64_t k = 0; k < 100; ++k)
    EXPECT_DOUBLE_EQ(schedule->rate(1.0, {.updates = k, .total_updates = 100}),
                     0.25 + 0.75 * (1 + std::cos(std::numbers::pi * double(k) / 100)) / 2);
}

TEST(Schedules, PerEpochTheRateHoldsWithinAnEpoch) {
  const auto schedule = make("cosine", {.per = "epoch"});
  for (int64_t epoch = 0; epoch < 10; ++epoch)
    for (int64_t k : {0, 3})
      EXPECT_DOUBLE_EQ(
          schedule->rate(
              1.0, {.updates = epoch * 7 + k, .total_updates = 70, .epoch = epoch, .epochs = 10}),
          (1 + std::cos(std::numbers::pi * double(epoch) / 10)) / 2);
  EXPECT_THROW(schedule->rate(1.0, {.updates = 1, .total_updates = 70}), ConfigError);
}

TEST(Schedules, WarmUpAsLongAsTheRunNeverDividesByZero) {
  const auto schedule = make("cosine", {.warmup_steps = 5});
  for (int64_t k = 0; k < 5; ++k)
    EXPECT_TRUE(std::isfinite(schedule->rate(1.0, {.updates = k, .total_updates = 5})));
}

}  // namespace
}  // namespace lockstep
