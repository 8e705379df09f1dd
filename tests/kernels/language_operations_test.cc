// The language model's fused operations against LibTorch's in double precision, in value and
// gradient.
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/errors.h"
#include "kernels/kernel_isa.h"
#include "kernels/language/language_operations.h"
#include "kernels/language/row_kernels.h"

namespace lockstep {
namespace {

using Operation = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>;

at::Tensor wave(const std::vector<int64_t>& shape, double phase, double size = 1) {
  int64_t count = 1;
  for (const int64_t side : shape) count *= side;
  return (at::sin(at::arange(count, at::kDouble) * 1.7 + phase) * size).reshape(shape);
}

// Outputs, then gradients of a weighted sum of them by all inputs.
std::vector<at::Tensor> run(const Operation& operation, const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& input : inputs)
    leaves.push_back(input.detach().clone().set_requires_grad(true));
  const std::vector<at::Tensor> outputs = operation(leaves);
  at::Tensor sum;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const at::Tensor part =
        (outputs[i].to(at::kDouble) * wave(outputs[i].sizes().vec(), 2.0 + static_cast<double>(i)))
            .sum();
    sum = i == 0 ? part : sum + part;
  }
  std::vector<at::Tensor> result;
  for (const at::Tensor& output : outputs) result.push_back(output.detach());
  for (const at::Tensor& gradient : torch::autograd::grad({sum}, leaves))
    result.push_back(gradient);
  return result;
}

double relative(const at::Tensor& a, const at::Tensor& exact) {
  return ((a.to(at::kDouble) - exact).norm() / exact.norm().clamp_min(1e-9)).item<double>();
}

// `fused` on inputs rounded to `dtype`, `exact` on the same numbers in double.
void expect_agreement(const Operation& fused, const Operation& exact,
                      const std::vector<at::Tensor>& inputs, at::ScalarType dtype) {
  std::vector<at::Tensor> low, high;
  for (const at::Tensor& input : inputs) {
    low.push_back(input.dim() == 1 ? input.to(at::kFloat)
                                   : input.to(dtype));  // weights stay float32
    high.push_back(low.back().to(at::kDouble));
  }
  const std::vector<at::Tensor> got = run(fused, low), want = run(exact, high);
  const double tolerance = dtype == at::kFloat ? 1e-6 : dtype == at::kHalf ? 6e-4 : 5e-3;
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_LT(relative(got[i], want[i]), tolerance)
        << "tensor " << i << " in " << c10::toString(dtype);
}

at::Tensor exact_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::Tensor y = x * at::rsqrt(x.square().mean(-1, true) + eps);
  return weight.defined() ? y * weight : y;
}

const at::ScalarType kTypes[] = {at::kFloat, at::kBFloat16, at::kHalf};

TEST(LanguageOperations, RmsNormAgreesWithDoublePrecision) {
  for (const at::ScalarType dtype : kTypes)
    for (const int64_t columns : {16, 77, 256}) {
      expect_agreement([](const auto& in) { return std::vector{rms_norm(in[0], in[1], 1e-5)}; },
                       [](const auto& in) { return std::vector{exact_norm(in[0], in[1], 1e-5)}; },
                       {wave({3, 5, columns}, 0.1, 2), wave({columns}, 0.5) + 1.2}, dtype);
      expect_agreement([](const auto& in) { return std::vector{rms_norm(in[0], {}, 1e-5)}; },
                       [](const auto& in) { return std::vector{exact_norm(in[0], {}, 1e-5)}; },
                       {wave({7, columns}, 0.1, 2)}, dtype);
    }
}

TEST(LanguageOperations, TheSumOfANormAndItsResidualCarriesBothGradients) {
  expect_agreement(
      [](const auto& in) {
        const NormedSum both = add_rms_norm(in[0], in[1], in[2], 1e-5);
        return std::vector{both.sum, both.normed};
      },
      [](const auto& in) {
        const at::Tensor sum = in[0] + in[1];
        return std::vector{sum, exact_norm(sum, in[2], 1e-5)};
      },
      {wave({6, 40}, 0.1, 2), wave({6, 40}, 0.7), wave({40}, 0.5) + 1.2}, at::kFloat);
}

TEST(LanguageOperations, SwigluAgreesWithDoublePrecisionInBothForms) {
  for (const at::ScalarType dtype : kTypes) {
    expect_agreement([](const auto& in) { return std::vector{swiglu(in[0], in[1])}; },
                     [](const auto& in) { return std::vector{at::silu(in[0]) * in[1]}; },
                     {wave({4, 37}, 0.1, 3), wave({4, 37}, 0.6)}, dtype);
    expect_agreement(
        [](const auto& in) { return std::vector{swiglu(in[0])}; },
        [](const auto& in) {
          return std::vector{at::silu(in[0].narrow(-1, 0, 24)) * in[0].narrow(-1, 24, 24)};
        },
        {wave({2, 3, 48}, 0.1, 3)}, dtype);
  }
}

TEST(LanguageOperations, RotaryAgreesWithDoublePrecision) {
  const RotaryTable table = rotary_table(9, 20, 10'000, at::kFloat, at::kCPU);
  const RotaryTable precise{table.cosines.to(at::kDouble), table.sines.to(at::kDouble)};
  const at::Tensor positions = at::tensor({0, 1, 2, 0, 1, 8, 7, 3, 3, 0}, at::kInt);
  const auto exact = [&](const at::Tensor& x, const at::Tensor& places, bool normalize) {
    const auto rows = [&](const at::Tensor& t) {
      return places.defined() ? t.index_select(0, places.to(at::kLong)).view({2, 5, 1, 10})
                              : t.narrow(0, 0, 5).view({1, 5, 1, 10});
    };
    const at::Tensor a = x.narrow(3, 0, 10), b = x.narrow(3, 10, 10), c = rows(precise.cosines),
                     s = rows(precise.sines);
    const at::Tensor y = at::cat({a * c + b * s, b * c - a * s}, 3);
    return normalize ? exact_norm(y, {}, 1e-6) : y;
  };
  for (const at::ScalarType dtype : kTypes)
    for (const at::Tensor& places : {at::Tensor(), positions})
      for (const bool normalize : {true, false})
        expect_agreement(
            [&](const auto& in) {
              return std::vector{rotary(in[0], table, places, {normalize, 1e-6})};
            },
            [&](const auto& in) { return std::vector{exact(in[0], places, normalize)}; },
            {wave({2, 5, 3, 20}, 0.1, 2)}, dtype);
  // Queries of a fused projection.
  expect_agreement(
      [&](const auto& in) {
        return std::vector{rotary(in[0].narrow(2, 1, 2), table, {}, {true, 1e-6})};
      },
      [&](const auto& in) { return std::vector{exact(in[0].narrow(2, 1, 2), {}, true)}; },
      {wave({2, 5, 4, 20}, 0.3, 2)}, at::kFloat);
}

TEST(LanguageOperations, CrossEntropyAgreesWithDoublePrecision) {
  const at::Tensor targets = at::tensor({3, -1, 0, 1029, 77, -1, 512}, at::kLong);
  for (const at::ScalarType dtype : kTypes)
    for (const double cap : {0.0, 15.0})
      for (const bool overwrite : {false, true})
        expect_agreement(
            [&](const auto& in) {
              return std::vector{cross_entropy(in[0] * 1, targets, cap, {true, overwrite})};
            },
            [&](const auto& in) {
              const at::Tensor z = cap == 0 ? in[0] * 1 : at::tanh(in[0] / cap) * cap;
              return std::vector{at::cross_entropy_loss(z, targets, {}, at::Reduction::None, -1)};
            },
            {wave({7, 1030}, 0.1, 20)}, dtype);
}

TEST(LanguageOperations, LibTorchsOperationsAgreeWithTheKernels) {
  const LanguageKernelOptions plain{false, false};
  const at::Tensor x = wave({4, 32}, 0.1).to(at::kFloat),
                   targets = at::tensor({1, -1, 31, 0}, at::kLong);
  EXPECT_LT(relative(rms_norm(x, {}, 1e-6, plain), rms_norm(x, {}, 1e-6).to(at::kDouble)), 1e-6);
  EXPECT_LT(relative(swiglu(x, plain), swiglu(x).to(at::kDouble)), 1e-6);
  EXPECT_LT(
      relative(cross_entropy(x, targets, 15, plain), cross_entropy(x, targets, 15).to(at::kDouble)),
      1e-6);
  const RotaryTable table = rotary_table(2, 16, 10'000, at::kBFloat16, at::kCPU);
  const at::Tensor heads = x.view({2, 2, 2, 16});
  EXPECT_LT(relative(rotary(heads, table, {}, {}, plain), rotary(heads, table, {}).to(at::kDouble)),
            1e-6);
}

TEST(LanguageOperations, ATargetThatIsNoWordIsAnError) {
  const at::Tensor logits = at::zeros({2, 8});
  EXPECT_THROW(cross_entropy(logits, at::tensor({0, 8}, at::kLong), 0), DataError);
  EXPECT_THROW(cross_entropy(logits, at::tensor({0, -2}, at::kLong), 0), DataError);
}

TEST(LanguageOperations, EveryInstructionSetGivesCloseNumbers) {
  std::vector<const RowKernels*> all = {&row_kernels_generic()};
  if (kernel_isa() != KernelIsa::kNone) all.push_back(&row_kernels_avx2());
  if (kernel_isa() == KernelIsa::kAvx512) all.push_back(&row_kernels_avx512());
  const at::Tensor logits = wave({5, 300}, 0.1, 20).to(at::kFloat),
                   targets = at::tensor({3, -1, 0, 299, 77}, at::kLong);
  const at::Tensor exact = at::cross_entropy_loss(at::tanh(logits.to(at::kDouble) / 15) * 15,
                                                  targets, {}, at::Reduction::None, -1);
  for (const FloatType type : {FloatType::kFloat32, FloatType::kBfloat16, FloatType::kFloat16})
    for (const RowKernels* kernels : all) {
      const at::ScalarType dtype = type == FloatType::kFloat32    ? at::kFloat
                                   : type == FloatType::kBfloat16 ? at::kBFloat16
                                                                  : at::kHalf;
      const at::Tensor in = logits.to(dtype), losses = at::empty({5}), sums = at::empty({5});
      kernels->cross_entropy_forward({5, 300, 300, 15, type}, in.const_data_ptr(),
                                     targets.const_data_ptr<int64_t>(), losses.data_ptr<float>(),
                                     sums.data_ptr<float>(), nullptr);
      EXPECT_LT(relative(losses, exact), type == FloatType::kFloat32 ? 1e-6 : 5e-3) << kernels->isa;
      at::Tensor y = at::empty_like(in), rstd = at::empty({5});  // conversions, odd lengths
      kernels->rms_norm_forward({5, 300, 1e-6f, type}, in.const_data_ptr(), nullptr, nullptr,
                                nullptr, y.data_ptr(), rstd.data_ptr<float>(), nullptr);
      EXPECT_LT(relative(y, exact_norm(in.to(at::kDouble), {}, 1e-6)),
                type == FloatType::kFloat32 ? 1e-6 : 3e-3)
          << kernels->isa;
    }
}

}  // namespace
}  // namespace lockstep
