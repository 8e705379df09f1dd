// The fused channel norm against tensor operations, in value and gradient.
#include <gtest/gtest.h>

#include "kernels/kernel_isa.h"
#include "kernels/norms/channel_norm.h"

namespace lockstep {
namespace {

at::Tensor wave(const std::vector<int64_t>& shape, double phase) {
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  return at::sin(at::arange(count).to(at::kFloat) * 1.7 + phase).reshape(shape).contiguous();
}

double relative(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).to(at::kDouble).norm() / b.to(at::kDouble).norm().clamp_min(1e-6)).item<double>();
}

// Value and the three gradients of a weighted sum.
std::vector<at::Tensor> run(bool reference, bool conditioned, bool silu, int64_t height) {
  at::Tensor x = wave({3, 10, height, 8}, 0.1) * 3;
  x.select(0, 1).select(1, 0).zero_();  // positions of length zero
  at::Tensor g = wave({1, 10, 1, 1}, 0.5) + 1.2,
             condition = conditioned ? wave({3, 20}, 0.9) : at::Tensor();
  std::vector<at::Tensor> leaves = {x.set_requires_grad(true), g.set_requires_grad(true)};
  if (conditioned) leaves.push_back(condition.set_requires_grad(true));
  const at::Tensor y = reference ? channel_norm_reference(x, g, condition, silu)
                       : silu    ? channel_norm_silu(x, g, condition)
                                 : channel_norm(x, g);
  std::vector<at::Tensor> out = {y.detach()};
  for (const at::Tensor& gradient :
       torch::autograd::grad({(y * wave({3, 10, height, 8}, 2.0)).sum()}, leaves))
    out.push_back(gradient);
  out[1] = out[1].clone();
  out[1].select(0, 1).select(1, 0).zero_();  // there the gradient has no meaning
  return out;
}

TEST(ChannelNorm, FusedAgreesWithTensorOperations) {
  struct Case {
    bool conditioned, silu;
    int64_t height;
  };
  for (const Case& c :
       {Case{true, true, 4}, {false, true, 4}, {false, false, 4}, {true, true, 3}}) {
    const auto fused = run(false, c.conditioned, c.silu, c.height),
               reference = run(true, c.conditioned, c.silu, c.height);
    ASSERT_EQ(fused.size(), reference.size());
    for (size_t i = 0; i < fused.size(); ++i)
      EXPECT_LT(relative(fused[i], reference[i]), 3e-6)
          << "tensor " << i << ", silu " << c.silu << ", height " << c.height;
  }
}

// bf16_weights, fp16_weights: the gain is a low-precision copy, and so is its gradient.
TEST(ChannelNorm, TakesGainsOfLowPrecisionInBothOrders) {
  for (const at::ScalarType type : {at::kBFloat16, at::kHalf}) {
    const at::Tensor x = (wave({2, 10, 4, 8}, 0.1) * 3).to(type),
                     condition = wave({2, 20}, 0.9).to(type);
    const auto gain = [&] {
      return (wave({1, 10, 1, 1}, 0.5) + 1.2).to(type).requires_grad_(true);
    };
    const at::Tensor first = gain(), last = gain(), plain = gain();
    const at::Tensor a = channel_norm_silu(x, first, condition),
                     b = channel_norm_rows(x, last, condition, true);
    const at::Tensor c = channel_norm_reference(x, plain, condition, true);
    for (const at::Tensor& y : {a, b, c}) y.sum().backward();
    EXPECT_EQ(first.grad().scalar_type(), type);
    const double tolerance = type == at::kBFloat16 ? 1e-2 : 1e-3;
    EXPECT_LT(relative(a, c), tolerance);
    EXPECT_LT(relative(b, c), tolerance);
    EXPECT_LT(relative(first.grad(), plain.grad()), tolerance);
    EXPECT_LT(relative(last.grad(), plain.grad()), tolerance);
  }
}

TEST(ChannelNorm, GivesTheSameBitsOnAvx2AndAvx512) {
  if (kernel_isa() != KernelIsa::kAvx512) GTEST_SKIP() << "this CPU offers no AVX-512";
  const auto wide = run(false, true, true, 4);
  set_kernel_isa("avx2");
  const auto narrow = run(false, true, true, 4);
  set_kernel_isa("native");
  for (size_t i = 0; i < wide.size(); ++i)
    EXPECT_TRUE(at::equal(wide[i], narrow[i])) << "tensor " << i;
}

}  // namespace
}  // namespace lockstep
