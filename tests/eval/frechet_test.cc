#include <cmath>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/errors.h"
#include "eval/feature_statistics.h"
#include "tensor/safetensors.h"

namespace lockstep {
namespace {

// golden/make_fid.py.
const SafetensorsFile& golden() {
  static const SafetensorsFile file(LOCKSTEP_SOURCE_DIR "/tests/eval/golden/fid.safetensors");
  return file;
}

double number(const std::string& name) { return golden().load(name).item<double>(); }

FeatureStatistics side(const std::string& name) {
  const at::Tensor features = golden().load(name);
  return statistics_of(name, Moments::of(features), features);
}

class Frechet : public testing::TestWithParam<const char*> {};

TEST_P(Frechet, EqualsTheExactDistanceAndThatOfPytorchFid) {
  const std::string name = GetParam();
  const FeatureStatistics a = side(name + ".a"), b = side(name + ".b");
  const double exact = number(name + ".exact");
  EXPECT_NEAR(frechet_distance(a.gaussian, b.gaussian), exact, 1e-9 * exact);
  EXPECT_NEAR(frechet_distance(b.gaussian, a.gaussian), exact, 1e-9 * exact);
  // With few samples pytorch-fid's root carries the noise of eigenvalues that are zero.
  EXPECT_NEAR(number(name + ".pytorch_fid"), exact, (name == "full" ? 1e-9 : 1e-7) * exact);
}

TEST_P(Frechet, TakesAnUnknownNumberOfSamples) {
  const std::string name = GetParam();
  FeatureStatistics a = side(name + ".a"), b = side(name + ".b");
  a.gaussian.count.reset();
  b.gaussian.count.reset();
  EXPECT_NEAR(frechet_distance(a.gaussian, b.gaussian), number(name + ".exact"),
              1e-6 * number(name + ".exact"));
}

TEST_P(Frechet, KidEqualsTheEstimatorWrittenOut) {
  const std::string name = GetParam();
  const FidScore score = fid_score(side(name + ".a"), side(name + ".b"));
  ASSERT_TRUE(score.kid.has_value());
  EXPECT_NEAR(score.kid->mean, number(name + ".kid"), 1e-10 * std::abs(number(name + ".kid")));
  EXPECT_EQ(score.kid->deviation, 0.0);
}

INSTANTIATE_TEST_SUITE_P(Samples, Frechet, testing::Values("full", "few", "mixed"));

TEST(FrechetDistance, IsZeroOfASetAndItself) {
  const FeatureStatistics a = side("few.a");
  EXPECT_NEAR(frechet_distance(a.gaussian, a.gaussian), 0.0,
              1e-9 * a.gaussian.covariance.trace().item<double>());
}

TEST(FrechetDistance, HasTheClosedFormOfDiagonalCovariances) {
  const at::Tensor v = at::tensor({4.0, 9.0, 0.0}, at::kDouble),
                   w = at::tensor({1.0, 16.0, 25.0}, at::kDouble);
  const Gaussian a{at::zeros({3}, at::kDouble), at::diag(v), {}},
      b{at::ones({3}, at::kDouble) * 2, at::diag(w), {}};
  // |Δμ|² = 12, Σ (√v − √w)² = 1 + 1 + 25.
  EXPECT_NEAR(frechet_distance(a, b), 39.0, 1e-9);
}

TEST(FrechetDistance, HasTheClosedFormOfCommutingCovariancesOfSeveralBlocks) {
  const int64_t size = 600;
  const at::Tensor v = at::linspace(0.1, 5, size, at::kDouble),
                   w = at::linspace(3, 0.2, size, at::kDouble).square();
  // A reflection: symmetric and orthogonal.
  const at::Tensor u = at::linspace(-1, 2, size, at::kDouble),
                   q = at::eye(size, at::kDouble) - 2 * at::outer(u, u) / u.dot(u);
  const Gaussian a{at::zeros({size}, at::kDouble), at::mm(q * v, q), {}},
      b{at::zeros({size}, at::kDouble), at::mm(q * w, q), {}};
  const double expected = (v.sqrt() - w.sqrt()).square().sum().item<double>();
  EXPECT_NEAR(frechet_distance(a, b), expected, 1e-10 * expected);
  EXPECT_NEAR(frechet_distance(b, a), expected, 1e-10 * expected);
}

TEST(Moments, OfPartsAddUpToThoseOfTheWhole) {
  const at::Tensor x = golden().load("full.a");
  Moments parts = Moments::of(x.slice(0, 0, 31));
  parts.merge(Moments::of(x.slice(0, 31)));
  const Moments whole = Moments::from_sums(Moments::of(x).to_sums(), x.size(1));
  EXPECT_EQ(parts.count, 90);
  EXPECT_TRUE(at::allclose(parts.covariance(), whole.covariance(), 1e-12, 1e-12));
  const at::Tensor centered = x.to(at::kDouble) - x.to(at::kDouble).mean(0);
  EXPECT_TRUE(at::allclose(whole.covariance(), at::mm(centered.t(), centered) / 89, 1e-11, 1e-11));
  EXPECT_THROW(Moments::of(at::full({2, 3}, NAN)), NumericError);
}

TEST(Kid, HasTheClosedFormOfConstantFeatures) {
  const at::Tensor a = at::ones({5, 4}), b = at::ones({7, 4}) * 2;
  // k(a,a) = 2³, k(b,b) = 5³, k(a,b) = 3³.
  EXPECT_NEAR(kid(a, b).mean, 8 + 125 - 2 * 27, 1e-12);
}

TEST(Kid, OfManySamplesIsTheMeanOverSubsetsCloseToTheWhole) {
  const at::Tensor a = golden().load("full.a").repeat({14, 1}) * 0.1,
                   b = golden().load("full.b").repeat({11, 1}) * 0.1;  // 1260, 1320
  const KidScore score = kid(a, b);
  EXPECT_GT(score.deviation, 0.0);
  EXPECT_NEAR(score.mean, squared_mmd(a, b), 5 * score.deviation / 10);
}

TEST(Kid, PoolIsARisingChoiceWithoutRepetition) {
  EXPECT_EQ(kid_pool(5), (std::vector<int64_t>{0, 1, 2, 3, 4}));
  const std::vector<int64_t> ids = kid_pool(30000);
  ASSERT_EQ(static_cast<int64_t>(ids.size()), kKidPool);
  for (size_t i = 1; i < ids.size(); ++i) ASSERT_LT(ids[i - 1], ids[i]);
  EXPECT_LT(ids.back(), 30000);
}

}  // namespace
}  // namespace lockstep
