// Accuracy of our exp, log and sigmoid against double precision.
#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

#include "tests/kernels/lane_probe.h"

namespace lockstep {
namespace {

// Distance of `value` from the exact number in units in the last place of the exact number.
double units(float value, double exact) {
  int exponent = 0;
  std::frexp(exact, &exponent);
  return std::abs(double(value) - exact) / std::ldexp(1.0, exponent - 24);
}

template <class Exact>
double worst(LaneFunction function, float low, float high, Exact exact) {
  double largest = 0;
  const int steps = 200'000;
  float in[16], out[16];
  for (int i = 0; i < steps; i += 16) {
    for (int lane = 0; lane < 16; ++lane)
      in[lane] = low + (high - low) * float(i + lane) / float(steps);
    function(in, out);
    for (int lane = 0; lane < 16; ++lane)
      largest = std::max(largest, units(out[lane], exact(double(in[lane]))));
  }
  return largest;
}

class LaneMath : public ::testing::TestWithParam<LaneProbe> {
 protected:
  void SetUp() override {
    if (!GetParam().runs_here) GTEST_SKIP() << "this CPU has no " << GetParam().isa;
  }
};
INSTANTIATE_TEST_SUITE_P(Isas, LaneMath, ::testing::Values(lane_probe_avx2(), lane_probe_avx512()));

TEST_P(LaneMath, ExpIsWithinTwoUnits) {
  EXPECT_LT(worst(GetParam().exp, -86, 87, [](double x) { return std::exp(x); }), 2);
  EXPECT_LT(worst(GetParam().exp, -1, 1, [](double x) { return std::exp(x); }), 1.5);
}

TEST_P(LaneMath, LogIsWithinTwoUnits) {
  EXPECT_LT(worst(GetParam().log, 1e-3f, 0.5f, [](double x) { return std::log(x); }), 2);
  EXPECT_LT(worst(GetParam().log, 2, 1e6f, [](double x) { return std::log(x); }), 2);
}

TEST_P(LaneMath, SigmoidIsWithinFourUnits) {
  EXPECT_LT(worst(GetParam().sigmoid, -60, 60, [](double x) { return 1 / (1 + std::exp(-x)); }), 4);
}

TEST_P(LaneMath, NotANumberStays) {
  float in[16], out[16];
  for (float& x : in) x = std::nanf("");
  GetParam().exp(in, out);
  EXPECT_TRUE(std::isnan(out[3]));
  GetParam().sigmoid(in, out);
  EXPECT_TRUE(std::isnan(out[3]));
}

TEST_P(LaneMath, SumsOverLanesByATree) {
  float in[16], out[16];
  for (int i = 0; i < 16; ++i) in[i] = float(i == 5 ? 1e8 : i);
  GetParam().sum(in, out);
  float t[16];
  std::memcpy(t, in, sizeof t);
  for (int width = 8; width >= 1; width /= 2)
    for (int i = 0; i < width; ++i) t[i] += t[i + width];
  for (float value : out) EXPECT_EQ(value, t[0]);
}

}  // namespace
}  // namespace lockstep
