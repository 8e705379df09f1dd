#include "core/philox.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numbers>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/box_muller.h"

namespace lockstep {
namespace {

nlohmann::json golden() {
  std::ifstream file(LOCKSTEP_SOURCE_DIR "/tests/core/golden/philox.json");
  return nlohmann::json::parse(file);
}

TEST(Philox, GivesRandom123sKnownAnswers) {
  const nlohmann::json rows = golden().at("known");
  ASSERT_EQ(rows.size(), 3u);
  for (const auto& row : rows)
    EXPECT_EQ(philox4x32(row["counter"].get<PhiloxCounter>(), row["key"].get<PhiloxKey>()),
              row["answer"].get<PhiloxCounter>());
}

TEST(Philox, GivesTheAnswerOfEightRounds) {
  EXPECT_EQ(philox4x32({1, 2, 3, 4}, {5, 6}, 8), golden()["eight_rounds"].get<PhiloxCounter>());
}

TEST(SplitMix64, GivesVignasSequenceFromSeedZero) {
  EXPECT_EQ(splitmix64(0), 0xE220A8397B1DCDAFull);
  EXPECT_EQ(splitmix64(0x9E3779B97F4A7C15ull), 0x6E789E6AA1B965F4ull);
}

TEST(Stream, GivesTheNumbersOfTheIndependentProgram) {
  const nlohmann::json rows = golden().at("rows");
  ASSERT_EQ(rows.size(), 15u);
  for (const auto& row : rows) {
    const Stream stream(row["seed"].get<uint64_t>(),
                        static_cast<Purpose>(row["purpose"].get<uint64_t>()));
    const auto id = row["id"].get<uint64_t>(), element = row["element"].get<uint64_t>();
    const auto step = row["step"].get<uint32_t>();
    EXPECT_EQ(stream.bits(id, step, element), row["bits"].get<uint32_t>());
    EXPECT_EQ(stream.uniform(id, step, element), row["uniform"].get<float>());
    EXPECT_EQ(stream.below(id, step, element, 1000), row["below_1000"].get<uint32_t>());
    // Sine, cosine and logarithm of two libraries may differ in the last bit of a double, which
    // changes the rounded float by one unit at most.
    const auto normal = row["normal"].get<float>();
    EXPECT_LE(std::abs(stream.normal(id, step, element) - normal), std::abs(normal) * 0x1p-23f);
  }
}

TEST(Stream, GivesBlocksThatAgreeWithItsElements) {
  const Stream stream(5, Purpose::kNoise);
  for (uint32_t block = 0; block < 50; ++block) {
    const PhiloxCounter four = stream.block(9, 3, block);
    const auto uniforms = uniform4(four), normals = normal4(four);
    for (uint64_t k = 0; k < 4; ++k) {
      EXPECT_EQ(uniforms[k], stream.uniform(9, 3, 4 * uint64_t{block} + k));
      EXPECT_EQ(normals[k], stream.normal(9, 3, 4 * uint64_t{block} + k));
    }
  }
}

TEST(Stream, DiffersByEveryPartOfItsAddress) {
  const uint32_t base = Stream(1, Purpose::kMask).bits(2, 3, 4);
  EXPECT_NE(base, Stream(2, Purpose::kMask).bits(2, 3, 4));
  EXPECT_NE(base, Stream(1, Purpose::kNoise).bits(2, 3, 4));
  EXPECT_NE(base, Stream(1, Purpose::kMask).bits(uint64_t{2} << 32, 3, 4));
  EXPECT_NE(base, Stream(1, Purpose::kMask).bits(2, 4, 4));
  EXPECT_NE(base, Stream(1, Purpose::kMask).bits(2, 3, 5));
}

TEST(Stream, GivesUniformsOnTheGridOfTwoToTheMinus24BelowOne) {
  const Stream stream(3, Purpose::kTest);
  for (uint64_t i = 0; i < 100'000; ++i) {
    const float u = stream.uniform(i, 0, 0);
    ASSERT_GE(u, 0.0f);
    ASSERT_LT(u, 1.0f);
    const float scaled = u * 0x1p24f;
    ASSERT_EQ(scaled, std::floor(scaled));
  }
}

// With n independent draws the mean of a quantity lies within five standard errors but for one case
// in two million; the stream is fixed, so the test never changes its mind.
TEST(Stream, GivesUniformsWithTheMomentsOfTheUniformDistribution) {
  const Stream stream(4, Purpose::kTest);
  constexpr int kDraws = 400'000;
  double sum = 0, squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double u = stream.uniform(0, 1, i);
    sum += u;
    squares += u * u;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 5 * std::sqrt(1.0 / 12 / kDraws));
  EXPECT_NEAR(squares / kDraws, 1.0 / 3, 5 * std::sqrt(4.0 / 45 / kDraws));
}

TEST(Stream, GivesNormalsWithTheMomentsOfTheNormalDistribution) {
  const Stream stream(4, Purpose::kTest);
  constexpr int kDraws = 400'000;
  double moments[5] = {}, product = 0;
  int beyond_two = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double z = stream.normal(1, 1, i);
    double power = 1;
    for (double& moment : moments) {
      moment += power / kDraws;
      power *= z;
    }
    beyond_two += std::abs(z) > 2;
    if (i % 2 == 0) product += z * stream.normal(1, 1, i + 1) / (kDraws / 2.0);
  }
  const double error = 1 / std::sqrt(static_cast<double>(kDraws));
  EXPECT_NEAR(moments[1], 0, 5 * error);
  EXPECT_NEAR(moments[2], 1, 5 * std::sqrt(2.0) * error);
  EXPECT_NEAR(moments[3], 0, 5 * std::sqrt(15.0) * error);
  EXPECT_NEAR(moments[4], 3, 5 * std::sqrt(96.0) * error);
  EXPECT_NEAR(product, 0, 5 * std::sqrt(2.0) * error);  // the two of a Box-Muller pair
  const double share = std::erfc(std::sqrt(2.0));
  EXPECT_NEAR(beyond_two / double{kDraws}, share, 5 * std::sqrt(share * (1 - share)) * error);
}

TEST(Stream, DrawsIntegersBelowNWithEqualShares) {
  const Stream stream(6, Purpose::kTest);
  constexpr int kDraws = 90'000, kKinds = 9;
  int counts[kKinds] = {};
  for (int i = 0; i < kDraws; ++i) {
    const uint32_t drawn = stream.below(2, 0, i, kKinds);
    ASSERT_LT(drawn, static_cast<uint32_t>(kKinds));
    ++counts[drawn];
  }
  double chi_squared = 0;
  for (const int count : counts)
    chi_squared += std::pow(count - kDraws / kKinds, 2) / (kDraws / kKinds);
  EXPECT_LT(chi_squared, 26.1);  // 0.1 % of the distribution with 8 degrees of freedom lies above
  EXPECT_EQ(stream.below(2, 0, 0, 1), 0u);
}

TEST(Philox, RowsAreTheNumbersOfTheirElements) {
  const Stream stream(11, Purpose::kNoise);
  for (const int64_t count : {1, 3, 255, 256, 257, 1003}) {
    std::vector<float> uniform(static_cast<size_t>(count) + 1, -7),
        normal(static_cast<size_t>(count) + 1, -7);
    const uint64_t id = (uint64_t{5} << 32) + 77;
    uniform_row(stream, id, 9, uniform.data(), count);
    normal_row(stream, id, 9, normal.data(), count);
    for (int64_t e = 0; e < count; ++e) {
      EXPECT_EQ(uniform[static_cast<size_t>(e)], stream.uniform(id, 9, static_cast<uint64_t>(e)));
      EXPECT_EQ(normal[static_cast<size_t>(e)], stream.normal(id, 9, static_cast<uint64_t>(e)));
    }
    EXPECT_EQ(uniform.back(), -7);
    EXPECT_EQ(normal.back(), -7);
  }
}

// Against extended precision, at both ends, around powers of two and quarter turns, and in between.
TEST(BoxMuller, LogarithmAndTurnAreThoseOfLongDouble) {
  std::vector<int32_t> shares = {1, 2, 3, (1 << 24) - 1, (1 << 24) - 2, 11863283, 11863284};
  for (int32_t bit = 2; bit < 24; ++bit)
    for (int32_t around = -1; around <= 1; ++around) shares.push_back((1 << bit) + around);
  for (int32_t k = 5; k < 1 << 24; k += 4099) shares.push_back(k);
  double worst_log = 0, worst_turn = 0;
  for (const int32_t k : shares) {
    const long double share = static_cast<long double>(k) / (1 << 24), log = std::log(share),
                      angle = 2 * std::numbers::pi_v<long double> * share;
    worst_log = std::max(worst_log, static_cast<double>(std::fabs((log_of_share(k) - log) / log)));
    const TwoDoubles turn = cos_sin_of_share(k);
    worst_turn = std::max({worst_turn, static_cast<double>(std::fabs(turn.first - std::cos(angle))),
                           static_cast<double>(std::fabs(turn.second - std::sin(angle)))});
  }
  EXPECT_LT(worst_log, 5e-16);
  EXPECT_LT(worst_turn, 4e-16);
  EXPECT_EQ(log_of_share(1 << 24), 0);
  EXPECT_EQ(cos_sin_of_share(0).first, 1);
  EXPECT_EQ(cos_sin_of_share(1 << 23).first, -1);
}

}  // namespace
}  // namespace lockstep
