#include "optim/loss_scale.h"

#include <gtest/gtest.h>

#include <limits>

#include <ATen/ATen.h>

#include "core/errors.h"
#include "core/philox.h"

namespace lockstep {
namespace {

// LibTorch's own rule as the reference, over 2,000 steps of which every fifteenth overflows on
// average.
TEST(LossScale, FollowsLibTorch) {
  LossScaleOptions options;
  options.initial = 1024;
  options.growth_steps = 7;
  options.smallest = 0x1p-24;
  LossScale scale(options);
  at::Tensor value = at::tensor({1024.0f}), tracker = at::zeros({1}, at::kInt);
  const Stream random(17, Purpose::kTest);
  int64_t overflows = 0, growths = 0;
  for (int64_t step = 0; step < 2000; ++step) {
    const bool overflow = random.uniform(0, static_cast<uint32_t>(step), 0) < 1.0f / 15;
    const double before = scale.value();
    scale.update(!overflow);
    at::_amp_update_scale_(value, tracker, at::tensor({overflow ? 1.0f : 0.0f}), 2.0, 0.5, 7);
    ASSERT_EQ(scale.value(), value.item<double>()) << "step " << step;
    ASSERT_EQ(scale.state().good_steps, tracker.item<int64_t>()) << "step " << step;
    overflows += overflow;
    growths += scale.value() > before;
  }
  EXPECT_GT(overflows, 50);
  EXPECT_GT(growths, 50);
}

TEST(LossScale, StopsAtItsFloor) {
  LossScaleOptions options;
  options.initial = 8;
  options.smallest = 2;
  LossScale scale(options);
  EXPECT_FALSE(scale.at_floor());
  for (int i = 0; i < 5; ++i) scale.update(false);
  EXPECT_EQ(scale.value(), 2);
  EXPECT_TRUE(scale.at_floor());
}

TEST(LossScale, IsAPowerOfTwo) {
  LossScaleOptions options;
  options.initial = 50'000;
  EXPECT_EQ(LossScale(options).value(), 65'536);
}

TEST(LossScale, GoesOnFromAState) {
  LossScaleOptions options;
  options.growth_steps = 3;
  LossScale one(options);
  for (const bool finite : {true, false, true, true}) one.update(finite);
  LossScale two(options);
  two.load(one.state());
  one.update(true);
  two.update(true);
  EXPECT_EQ(one.state(), two.state());
  EXPECT_EQ(two.value(), 65'536);
}

TEST(LossScale, RefusesABrokenState) {
  LossScale scale(LossScaleOptions{});
  for (const double value : {0.0, -2.0, 3.0, std::numeric_limits<double>::infinity(),
                             std::numeric_limits<double>::quiet_NaN()})
    EXPECT_THROW(scale.load({value, 0}), CheckpointError) << value;
  EXPECT_THROW(scale.load({2, -1}), CheckpointError);
}

}  // namespace
}  // namespace lockstep
