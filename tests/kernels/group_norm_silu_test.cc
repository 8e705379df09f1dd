// The fused GroupNorm, SiLU and sum against tensor operations in double, in value and gradient.
#include <gtest/gtest.h>

#include "kernels/kernel_isa.h"
#include "kernels/norms/group_norm_silu.h"

namespace lockstep {
namespace {

at::Tensor wave(const std::vector<int64_t>& shape, double phase) {
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  return at::sin(at::arange(count).to(at::kFloat) * 1.7 + phase).reshape(shape).contiguous();
}

double relative(const at::Tensor& a, const at::Tensor& b) {
  return ((a.to(at::kDouble) - b.to(at::kDouble)).norm() / b.to(at::kDouble).norm().clamp_min(1e-6))
      .item<double>();
}

struct Case {
  int64_t channels, groups;
  bool residual;
  double mean;
};

// Value and the gradients of a weighted sum.
std::vector<at::Tensor> run(const Case& c, at::ScalarType dtype, bool channels_last = true,
                            bool rows = false) {
  const auto leaf = [&](at::Tensor t, bool is_map) {
    t = t.to(dtype);
    if (is_map && channels_last) t = t.contiguous(at::MemoryFormat::ChannelsLast);
    return t.set_requires_grad(true);
  };
  const std::vector<int64_t> map = {3, c.channels, 9, 9};
  std::vector<at::Tensor> leaves = {leaf(wave(map, 0.1) * 3 + c.mean, true),
                                    leaf(wave({c.channels}, 0.5) + 1.2, false),
                                    leaf(wave({c.channels}, 0.7), false)};
  if (c.residual) leaves.push_back(leaf(wave(map, 0.3), true));
  const at::Tensor residual = c.residual ? leaves[3] : at::Tensor();
  const at::Tensor y =
      dtype == at::kDouble
          ? group_norm_silu_reference(leaves[0], c.groups, leaves[1], leaves[2], 1e-5, residual)
      : rows ? group_norm_silu_rows(leaves[0], c.groups, leaves[1], leaves[2], 1e-5, residual)
             : group_norm_silu(leaves[0], c.groups, leaves[1], leaves[2], 1e-5, residual);
  std::vector<at::Tensor> out = {y.detach()};
  for (const at::Tensor& gradient :
       torch::autograd::grad({(y * wave(map, 2.0).to(dtype)).sum()}, leaves))
    out.push_back(gradient);
  return out;
}

const Case kCases[] = {{16, 4, true, 0},   {16, 16, false, 0},  {48, 8, true, 0}, {64, 8, true, 0},
                       {112, 7, false, 2}, {128, 8, true, 100}, {24, 8, true, 0}};

TEST(GroupNormSilu, AgreesWithTensorOperationsInDouble) {
  for (const Case& c : kCases) {
    const auto exact = run(c, at::kDouble), got = run(c, at::kFloat);
    ASSERT_EQ(got.size(), exact.size());
    // A mean of 100 leaves inputs with a rounding error of 4e-6, of numbers about 3.
    const double tolerance = c.mean == 100 ? 2e-5 : 2e-6;
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT_LT(relative(got[i], exact[i]), tolerance) << c.channels << " channels, tensor " << i;
  }
}

TEST(GroupNormSilu, TakesTensorOperationsWhereTheKernelDoesNotFit) {
  const Case c{32, 8, true, 0};
  const auto exact = run(c, at::kDouble), got = run(c, at::kFloat, /*channels_last=*/false);
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_LT(relative(got[i], exact[i]), 2e-6) << "tensor " << i;
  EXPECT_EQ(group_norm_silu(at::zeros({0, 32, 9, 9}), 8, at::ones({32}), at::zeros({32}), 1e-5, {})
                .numel(),
            0);
}

// What GPUs run, by its twin; from maps in either order.
TEST(GroupNormSilu, RowsAgreeWithTensorOperationsInDouble) {
  for (const Case& c : kCases)
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      if (type == at::kBFloat16 && c.mean != 0)
        continue;  // a mean of 100 leaves bfloat16 no digits
      const auto exact = run(c, at::kDouble),
                 got = run(c, type, /*channels_last=*/c.channels != 48, /*rows=*/true);
      ASSERT_EQ(got.size(), exact.size());
      EXPECT_TRUE(got[0].is_contiguous(at::MemoryFormat::ChannelsLast));
      const double tolerance = type == at::kBFloat16 ? 2e-2 : c.mean == 100 ? 2e-5 : 2e-6;
      for (size_t i = 0; i < got.size(); ++i)
        EXPECT_LT(relative(got[i], exact[i]), tolerance)
            << c.channels << " channels, tensor " << i << " " << type;
    }
}

TEST(GroupNormSilu, GivesTheSameBitsOnAvx2AndAvx512) {
  if (kernel_isa() != KernelIsa::kAvx512) GTEST_SKIP() << "this CPU offers no AVX-512";
  for (const Case& c : kCases) {
    if (c.channels % 16 != 0) continue;
    const auto wide = run(c, at::kFloat);
    set_kernel_isa("avx2");
    const auto narrow = run(c, at::kFloat);
    set_kernel_isa("native");
    for (size_t i = 0; i < wide.size(); ++i)
      EXPECT_TRUE(at::equal(wide[i], narrow[i])) << c.channels << " channels, tensor " << i;
  }
}

}  // namespace
}  // namespace lockstep
