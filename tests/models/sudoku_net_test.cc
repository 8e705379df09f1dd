#include "models/sudoku/sudoku_net.h"

#include <gtest/gtest.h>

#include "core/errors.h"
#include "kernels/kernel_isa.h"
#include "models/models.h"
#include "tests/models/sudoku_inputs.h"

namespace lockstep {
namespace {

using testing::Boards;
using testing::gradients_of;
using testing::make_boards;
using testing::make_random_net;

class OnIsa : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const bool has_avx512 = (set_kernel_isa("native"), kernel_isa() == KernelIsa::kAvx512);
    if (std::string(GetParam()) == "native" && !has_avx512)
      GTEST_SKIP() << "this CPU has no AVX-512";
    set_kernel_isa(GetParam());
  }
  void TearDown() override { set_kernel_isa("native"); }
};
INSTANTIATE_TEST_SUITE_P(Isas, OnIsa, ::testing::Values("native", "avx2"));

struct Widths {
  int64_t channels, hidden;
};
const Widths kWidths[] = {{16, 16}, {16, 24}, {16, 48}, {16, 64},
                          {32, 8},  {32, 32}, {32, 33}, {32, 50}};

SudokuNetOptions options_of(Widths widths, const char* implementation) {
  SudokuNetOptions options;
  options.channels = widths.channels;
  options.hidden = widths.hidden;
  options.iterations = 5;
  options.loss_depths = {2, 5};
  options.implementation = implementation;
  return options;
}

// ‖a − b‖ / ‖b‖
double relative(const at::Tensor& a, const at::Tensor& b) {
  return ((a.to(at::kDouble) - b.to(at::kDouble)).norm() / b.to(at::kDouble).norm()).item<double>();
}

NamedTensors in_double(const NamedTensors& parameters) {
  NamedTensors wide;
  for (const NamedTensor& p : parameters)
    wide.push_back({p.name, p.tensor.detach().to(at::kDouble).requires_grad_(true)});
  return wide;
}

TEST(SudokuNet, Has7041ParametersByDefault) {
  const SudokuNet net({}, 1);
  int64_t count = 0;
  for (const NamedTensor& p : net.parameters()) count += p.tensor.numel();
  EXPECT_EQ(count, 7041);
}

TEST(SudokuNet, StartsEqualForEqualSeeds) {
  const SudokuNet one({}, 5), same({}, 5), other({}, 6);
  for (size_t i = 0; i < one.parameters().size(); ++i)
    EXPECT_TRUE(one.parameters()[i].tensor.equal(same.parameters()[i].tensor));
  EXPECT_FALSE(one.parameters()[0].tensor.equal(other.parameters()[0].tensor));
}

TEST(SudokuNet, ReferenceGradientsMatchCentralDifferencesInDouble) {
  SudokuNetOptions options = options_of({3, 4}, "reference");
  const auto net = make_random_net(options);
  const NamedTensors parameters = in_double(net->parameters());
  const Boards boards = make_boards(2, 1);
  auto loss = [&] {
    return sudoku_reference_loss(
        sudoku_reference_logits(parameters, options, boards.cells, options.loss_depths),
        boards.targets);
  };
  const std::vector<at::Tensor> gradients = gradients_of(loss(), parameters);
  const at::NoGradGuard no_grad;
  for (size_t p = 0; p < parameters.size(); ++p) {
    at::Tensor flat = parameters[p].tensor.detach().view({-1});
    const int64_t i = flat.numel() / 2;
    const double value = flat[i].item<double>(), step = 1e-5;
    flat[i] = value + step;
    const double above = loss().item<double>();
    flat[i] = value - step;
    const double below = loss().item<double>();
    flat[i] = value;
    EXPECT_NEAR(gradients[p].reshape({-1})[i].item<double>(), (above - below) / (2 * step), 1e-8)
        << parameters[p].name;
  }
}

TEST_P(OnIsa, FusedLogitsMatchTheReferenceInDouble) {
  for (const Widths& widths : kWidths) {
    const SudokuNetOptions options = options_of(widths, "fused");
    const auto net = make_random_net(options);
    const Boards boards = make_boards(3, 2);
    const at::NoGradGuard no_grad;
    const at::Tensor expected = sudoku_reference_logits(in_double(net->parameters()), options,
                                                        boards.cells, {options.iterations})
                                    .front();
    // 5 iterations of float32 sums over 9 to 50 terms: measured 5e-7.
    EXPECT_LT(relative(net->logits(boards.cells), expected), 5e-6)
        << widths.channels << " " << widths.hidden;
  }
}

TEST_P(OnIsa, FusedLossAndGradientsMatchTheReferenceInDouble) {
  for (const Widths& widths : kWidths) {
    const SudokuNetOptions options = options_of(widths, "fused");
    const auto net = make_random_net(options);
    const Boards boards = make_boards(3, 2);
    const at::Tensor loss = net->loss_sum(boards.cells, boards.targets);
    const std::vector<at::Tensor> gradients = gradients_of(loss, net->parameters());
    const NamedTensors wide = in_double(net->parameters());
    const at::Tensor expected = sudoku_reference_loss(
        sudoku_reference_logits(wide, options, boards.cells, options.loss_depths), boards.targets);
    EXPECT_NEAR(loss.item<double>(), expected.item<double>(), 1e-5);
    const std::vector<at::Tensor> reference = gradients_of(expected, wide);
    for (size_t p = 0; p < gradients.size(); ++p) {
      if (wide[p].name == "head.bias" || wide[p].name == "head_norm.bias") {
        // A common shift of all logits: the gradient is zero but for rounding.
        EXPECT_LT(gradients[p].abs().max().item<double>(), 1e-6);
        continue;
      }
      EXPECT_LT(relative(gradients[p], reference[p]), 1e-5)
          << wide[p].name << " " << widths.channels << " " << widths.hidden;
    }
  }
}

TEST_P(OnIsa, APuzzleGivesTheSameBitsInAnyBatch) {
  const auto net = make_random_net(options_of({16, 24}, "fused"));
  const Boards boards = make_boards(5, 4);
  const at::NoGradGuard no_grad;
  const at::Tensor together = net->logits(boards.cells);
  for (int64_t b = 0; b < 5; ++b)
    EXPECT_TRUE(net->logits(boards.cells.narrow(0, b, 1))[0].equal(together[b]));
}

TEST_P(OnIsa, RepeatedRunsGiveTheSameBits) {
  const auto net = make_random_net(options_of({16, 24}, "fused"));
  const Boards boards = make_boards(4, 5);
  const at::Tensor first = net->loss_sum(boards.cells, boards.targets);
  const std::vector<at::Tensor> gradients = gradients_of(first, net->parameters());
  for (int run = 0; run < 2; ++run) {
    const at::Tensor loss = net->loss_sum(boards.cells, boards.targets);
    EXPECT_TRUE(loss.equal(first));
    const std::vector<at::Tensor> again = gradients_of(loss, net->parameters());
    for (size_t p = 0; p < again.size(); ++p) EXPECT_TRUE(again[p].equal(gradients[p]));
  }
}

TEST(SudokuNet, Avx2AndAvx512GiveTheSameBits) {
  set_kernel_isa("native");
  if (kernel_isa() != KernelIsa::kAvx512) GTEST_SKIP() << "this CPU has no AVX-512";
  const Boards boards = make_boards(3, 6);
  for (const Widths& widths : kWidths) {
    const auto wide = make_random_net(options_of(widths, "fused"));
    const at::Tensor loss = wide->loss_sum(boards.cells, boards.targets);
    const std::vector<at::Tensor> gradients = gradients_of(loss, wide->parameters());
    set_kernel_isa("avx2");
    const auto narrow = make_random_net(options_of(widths, "fused"));
    set_kernel_isa("native");
    ASSERT_STREQ(narrow->computed_by(), "avx2");
    const at::Tensor same = narrow->loss_sum(boards.cells, boards.targets);
    EXPECT_TRUE(same.equal(loss));
    const std::vector<at::Tensor> others = gradients_of(same, narrow->parameters());
    for (size_t p = 0; p < others.size(); ++p) EXPECT_TRUE(others[p].equal(gradients[p]));
  }
}

TEST(SudokuNet, AddsGradientsOfPuzzlesInOrder) {
  const auto net = make_random_net(options_of({16, 24}, "auto"));
  const Boards boards = make_boards(3, 7);
  const std::vector<at::Tensor> together =
      gradients_of(net->loss_sum(boards.cells, boards.targets), net->parameters());
  std::vector<at::Tensor> sum;
  for (int64_t b = 0; b < 3; ++b) {
    const auto one =
        gradients_of(net->loss_sum(boards.cells.narrow(0, b, 1), boards.targets.narrow(0, b, 1)),
                     net->parameters());
    for (size_t p = 0; p < one.size(); ++p)
      b == 0 ? sum.push_back(one[p]) : void(sum[p] = sum[p] + one[p]);
  }
  for (size_t p = 0; p < sum.size(); ++p) {
    if (net->parameters()[p].name == "embed.bias")
      continue;  // the sum of three packed rows: rounded in another order
    EXPECT_TRUE(sum[p].equal(together[p])) << net->parameters()[p].name;
  }
}

TEST(SudokuNet, RenamingDigitsRenamesTheOutput) {
  const auto net = make_random_net(options_of({16, 24}, "auto"));
  const Boards boards = make_boards(2, 8);
  const at::Tensor names =
      at::tensor({0, 4, 9, 1, 7, 2, 8, 3, 6, 5}, at::kLong);  // names[d] = new digit
  const at::NoGradGuard no_grad;
  const at::Tensor renamed = names.index({boards.cells.to(at::kLong)}).to(at::kByte);
  const at::Tensor logits = net->logits(boards.cells), other = net->logits(renamed);
  EXPECT_LT(relative(other.index_select(2, names.narrow(0, 1, 9) - 1), logits), 1e-5);
}

TEST(SudokuNet, MovingRowsColumnsAndTransposingMovesTheOutput) {
  const auto net = make_random_net(options_of({16, 24}, "auto"));
  const Boards boards = make_boards(2, 9);
  const at::Tensor rows =
      at::tensor({5, 3, 4, 0, 2, 1, 8, 6, 7}, at::kLong);  // bands 1 0 2, rows within
  const at::Tensor columns = at::tensor({7, 8, 6, 1, 0, 2, 3, 5, 4}, at::kLong);
  const at::NoGradGuard no_grad;
  auto move = [&](const at::Tensor& board) {
    return board.view({2, 9, 9, -1}).index_select(1, rows).index_select(2, columns);
  };
  const at::Tensor logits = net->logits(boards.cells);
  EXPECT_LT(
      relative(net->logits(move(boards.cells).reshape({2, 81})).view({2, 9, 9, 9}), move(logits)),
      1e-5);
}

TEST(SudokuNet, LearnsNothingFromAPuzzleWithoutTargets) {
  for (const char* implementation : {"auto", "reference"}) {
    const auto net = make_random_net(options_of({16, 24}, implementation));
    const Boards boards = make_boards(1, 10);
    const at::Tensor loss = net->loss_sum(boards.cells, at::zeros({1, 81}, at::kByte));
    EXPECT_EQ(loss.item<float>(), 0);
    for (const at::Tensor& gradient : gradients_of(loss, net->parameters()))
      EXPECT_EQ(gradient.abs().max().item<float>(), 0);
  }
}

TEST(SudokuNet, FollowsAliasedParameters) {
  const auto net = make_random_net(options_of({16, 24}, "auto")),
             replica = std::make_unique<SudokuNet>(options_of({16, 24}, "auto"), 99);
  std::vector<at::Tensor> storage;
  for (const NamedTensor& p : net->parameters()) storage.push_back(p.tensor.detach().clone());
  net->alias_parameters(storage);
  replica->alias_parameters(storage);
  const Boards boards = make_boards(1, 11);
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(net->logits(boards.cells).equal(replica->logits(boards.cells)));
  storage[0].mul_(2);
  EXPECT_TRUE(net->parameters()[0].tensor.equal(storage[0]));
  EXPECT_TRUE(net->logits(boards.cells).equal(replica->logits(boards.cells)));
}

TEST(SudokuNet, RefusesOptionsThatDoNotFit) {
  SudokuNetOptions options;
  options.loss_depths = {4, 17};
  EXPECT_THROW(SudokuNet(options, 1), ConfigError);
  options.loss_depths = {8, 4};
  EXPECT_THROW(SudokuNet(options, 1), ConfigError);
  options.loss_depths = {16};
  options.implementation = "fused";
  options.channels = 24;
  EXPECT_THROW(SudokuNet(options, 1), ConfigError);
}

TEST(MaskedGridModels, MakesSudokuNetByName) {
  const Choice choice(sudoku_models(), "sudoku_net");
  EXPECT_NE(dynamic_cast<SudokuNet*>(sudoku_models().make(choice, 1).get()), nullptr);
  EXPECT_THROW(Choice(sudoku_models(), "sudoku"), ConfigError);
}

TEST(Model, LoadNamesWhatIsMissingUnknownAndDiffers) {
  SudokuNet net(options_of({16, 24}, "auto"), 1);
  NamedTensors weights;
  for (const NamedTensor& p : net.parameters())
    weights.push_back({p.name, p.tensor.detach().clone()});
  net.load(weights, "good.safetensors");
  weights[0].name = "embed.wait";
  weights[1].tensor = at::zeros({5});
  try {
    net.load(weights, "bad.safetensors");
    FAIL() << "loaded";
  } catch (const DataError& error) {
    const std::string text = error.message();
    for (const char* part : {"missing: embed.weight", "unknown: embed.wait",
                             "embed.bias is [5] and should be [16]", "bad.safetensors"})
      EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
  }
}

}  // namespace
}  // namespace lockstep
