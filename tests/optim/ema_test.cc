#include "optim/ema.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/optim/golden.h"

namespace lockstep {
namespace {

TEST(Ema, FollowsEmaPytorchWithWarmUp) {
  for (const auto& entry : golden::all()["ema"]) {
    const EmaOptions options{entry["beta"], entry["update_every"], true};
    float ema[4] = {};
    for (int64_t k = 0; k < entry["updates"]; ++k) {
      const auto move = ema_move(options, k);
      for (int i = 0; i < 4; ++i) {
        const float weight = static_cast<float>(std::sin(0.01 * static_cast<double>(k) + i));
        if (move) ema[i] = move->copy ? weight : ema[i] + move->weight * (weight - ema[i]);
      }
      const std::string key = std::to_string(k);
      if (!entry["shown"].contains(key)) continue;
      for (int i = 0; i < 4; ++i)
        EXPECT_NEAR(ema[i], entry["shown"][key][i].get<double>(), 3e-7) << "k = " << k;
    }
  }
}

TEST(Ema, TheDecayWarmsUpByItsClosedForm) {
  const EmaOptions options{0.995, 1, true};
  EXPECT_TRUE(ema_move(options, 0)->copy);
  EXPECT_TRUE(ema_move(options, 100)->copy);
  EXPECT_FALSE(ema_move(options, 101)->copy);
  EXPECT_FLOAT_EQ(ema_move(options, 101)->weight, std::pow(2.0, -2.0 / 3));
  EXPECT_FLOAT_EQ(ema_move(options, 350)->weight, std::pow(251.0, -2.0 / 3));
  EXPECT_EQ(ema_move(options, 1'000'000)->weight, static_cast<float>(1 - 0.995));
}

TEST(Ema, ActsEverySoManyUpdatesOnly) {
  const EmaOptions options{0.9, 10, false};
  for (int64_t k = 0; k < 100; ++k) EXPECT_EQ(ema_move(options, k).has_value(), k % 10 == 0);
  EXPECT_FALSE(ema_move(options, 0)->copy);
  EXPECT_EQ(ema_move(options, 0)->weight, static_cast<float>(1 - 0.9));
}

TEST(Ema, ADecayOfZeroMeansNone) { EXPECT_FALSE(ema_move({}, 0).has_value()); }

// With constant decay and constant weights: ema_n = w + dⁿ (ema_0 − w).
TEST(Ema, WithoutWarmUpItConvergesGeometrically) {
  const EmaOptions options{0.75, 1, false};
  float ema = 1;
  for (int64_t k = 0; k < 20; ++k) ema += ema_move(options, k)->weight * (3.0f - ema);
  EXPECT_NEAR(ema, 3 - 2 * std::pow(0.75, 20), 1e-6);
}

}  // namespace
}  // namespace lockstep
