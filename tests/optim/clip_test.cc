#include "optim/clip.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/philox.h"
#include "ddp/slots.h"

namespace lockstep {
namespace {

TEST(Clip, TheNormIsTheEuclideanOneOverAllParameters) {
  const ArenaLayout layout = ArenaLayout::of({{"a", at::zeros({3})}, {"b", at::zeros({1})}});
  Arena gradients(layout);
  gradients.views()[0].copy_(at::tensor({1.0f, 2.0f, 2.0f}));
  gradients.views()[1].fill_(4.0f);
  EXPECT_DOUBLE_EQ(gradient_norm(gradients), 5.0);
  EXPECT_DOUBLE_EQ(gradient_norm(gradients, 0.5f), 2.5);
}

TEST(Clip, BlocksAreAddedByTree) {
  const ArenaLayout layout = ArenaLayout::of({{"a", at::zeros({5 * 65'536 + 123})}});
  Arena gradients(layout);
  const Stream stream(5, Purpose::kTest);
  for (int64_t i = 0; i < layout.size; ++i)
    gradients.data()[i] = stream.normal(0, 0, i) * (i % 97 == 0 ? 1000 : 1);
  gradients.flat().narrow(0, 5 * 65'536 + 123, layout.size - 5 * 65'536 - 123).zero_();
  const auto block = [&](int64_t b) {
    double lanes[8] = {};
    for (int64_t i = b * 65'536; i < std::min<int64_t>((b + 1) * 65'536, layout.size); ++i)
      lanes[(i - b * 65'536) % 8] += double(gradients.data()[i]) * double(gradients.data()[i]);
    return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) +
           ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
  };
  EXPECT_EQ(gradient_norm(gradients), std::sqrt(tree_sum<double>(0, 6, block)));
  EXPECT_NEAR(gradient_norm(gradients), gradients.flat().to(at::kDouble).norm().item<double>(),
              1e-9);
}

TEST(Clip, TheOrderInWhichThreadsTakeBlocksDoesNotMatter) {
  const ArenaLayout layout = ArenaLayout::of({{"a", at::zeros({200'000})}});
  Arena gradients(layout);
  gradients.flat().copy_(at::sin(at::arange(layout.size, at::kFloat)));
  const ParallelFor backwards = [](int64_t n, const std::function<void(int64_t)>& fn) {
    for (int64_t i = n - 1; i >= 0; --i) fn(i);
  };
  EXPECT_EQ(gradient_norm(gradients), gradient_norm(gradients, 1, backwards));
}

TEST(Clip, TheCoefficientIsInFloatAndNeverAboveOne) {
  EXPECT_EQ(clip_coefficient(0.5, 1.0), 1.0f);
  EXPECT_EQ(clip_coefficient(4.0, 1.0), 1.0f / (4.0f + 1e-6f));
  EXPECT_EQ(clip_coefficient(0.0, 1.0), 1.0f);
}

TEST(Clip, ANormThatIsNotFiniteIsPassedOn) {
  const ArenaLayout layout = ArenaLayout::of({{"a", at::zeros({100})}});
  Arena gradients(layout);
  gradients.data()[77] = std::nanf("");
  EXPECT_TRUE(std::isnan(gradient_norm(gradients)));
  gradients.data()[77] = INFINITY;
  EXPECT_TRUE(std::isinf(gradient_norm(gradients)));
}

}  // namespace
}  // namespace lockstep
