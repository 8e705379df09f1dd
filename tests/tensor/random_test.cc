#include "tensor/random.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/errors.h"

namespace lockstep {
namespace {

TEST(RandomTensor, HoldsTheNumbersOfTheStreamElementByElement) {
  const Stream stream(17, Purpose::kNoise);
  const std::vector<int64_t> ids = {5, 0, int64_t{1} << 40};
  const at::Tensor uniform = random_uniform(stream, ids, 3, {2, 7}),
                   normal = random_normal(stream, ids, 3, {2, 7});
  ASSERT_EQ(uniform.sizes(), at::IntArrayRef({3, 2, 7}));
  for (int64_t row = 0; row < 3; ++row)
    for (int64_t e = 0; e < 14; ++e) {
      const auto id = static_cast<uint64_t>(ids[row]);
      EXPECT_EQ(uniform[row].view(-1)[e].item<float>(), stream.uniform(id, 3, e));
      EXPECT_EQ(normal[row].view(-1)[e].item<float>(), stream.normal(id, 3, e));
    }
}

TEST(RandomTensor, DoesNotDependOnTheBatch) {
  const Stream stream(17, Purpose::kTimestep);
  const at::Tensor both = random_normal(stream, {8, 9}, 0, {5});
  EXPECT_TRUE(both[1].equal(random_normal(stream, {9}, 0, {5})[0]));
  EXPECT_FALSE(both[0].equal(both[1]));
}

TEST(RandomTensor, MayBeEmptyOrOneNumberARow) {
  const Stream stream(17, Purpose::kTimestep);
  EXPECT_EQ(random_uniform(stream, {}, 0, {5}).sizes(), at::IntArrayRef({0, 5}));
  EXPECT_EQ(random_uniform(stream, {1, 2}, 0, {0}).sizes(), at::IntArrayRef({2, 0}));
  EXPECT_EQ(random_uniform(stream, {1, 2}, 0, {}).sizes(), at::IntArrayRef({2}));
}

}  // namespace
}  // namespace lockstep
