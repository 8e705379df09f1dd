// The network against an independent one in PyTorch (golden/make_sudoku_net.py).
#include <gtest/gtest.h>

#include <algorithm>

#include "tensor/safetensors.h"
#include "tests/models/sudoku_inputs.h"

namespace lockstep {
namespace {

class SudokuGolden : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    golden_ = load_safetensors(LOCKSTEP_SOURCE_DIR "/tests/models/golden/sudoku_net.safetensors");
    SudokuNetOptions options;
    options.iterations = 4;
    options.loss_depths = {2, 4};
    options.implementation = GetParam();
    net_ = std::make_unique<SudokuNet>(options, 1);
    NamedTensors weights;
    for (const NamedTensor& entry : golden_)
      if (entry.name.starts_with("weight."))
        weights.push_back({entry.name.substr(7), entry.tensor});
    net_->load(weights, "the golden file");
  }
  const at::Tensor& golden(const std::string& name) const { return *find_tensor(golden_, name); }

  NamedTensors golden_;
  std::unique_ptr<SudokuNet> net_;
};
INSTANTIATE_TEST_SUITE_P(Implementations, SudokuGolden, ::testing::Values("reference", "auto"));

double relative(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).to(at::kDouble).norm() / b.to(at::kDouble).norm().clamp_min(1e-3)).item<double>();
}

TEST_P(SudokuGolden, LogitsAgree) {
  const at::NoGradGuard no_grad;
  EXPECT_LT(relative(net_->logits(golden("cells")), golden("logits")), 5e-6);
}

TEST_P(SudokuGolden, LossAndGradientsAgree) {
  const at::Tensor loss = net_->loss_sum(golden("cells"), golden("targets"));
  EXPECT_NEAR(loss.item<double>(), golden("loss").item<double>(), 1e-5);
  const std::vector<at::Tensor> gradients = testing::gradients_of(loss, net_->parameters());
  // The gradient of head.bias is a sum of 81 terms that nearly cancel: float32 knows it to 1e-7 of
  // the terms, not of the sum, and each CPU rounds them in another order.
  double largest = 0;
  for (const NamedTensor& entry : net_->parameters())
    largest = std::max(largest, golden("gradient." + entry.name).norm().item<double>());
  for (size_t i = 0; i < gradients.size(); ++i) {
    const std::string& name = net_->parameters()[i].name;
    const at::Tensor& expected = golden("gradient." + name);
    const double error = (gradients[i] - expected).to(at::kDouble).norm().item<double>();
    const double scale = std::max(expected.norm().item<double>(), 0.1 * largest);
    EXPECT_LT(error, 2e-5 * scale) << name;
  }
}

}  // namespace
}  // namespace lockstep
