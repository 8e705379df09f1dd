#include "optim/optimizers.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/philox.h"
#include "optim/adam.h"
#include "optim/clip.h"
#include "tests/optim/golden.h"

namespace lockstep {
namespace {

// Largest difference relative to the largest number.
double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).abs().max() / b.abs().max()).item<double>();
}

// Runs the golden gradients; returns the weights after each step.
std::vector<NamedTensors> run(const nlohmann::json& entry, const std::string& implementation) {
  const NamedTensors parameters = golden::tensors(golden::all()["parameters"]);
  const ArenaLayout layout = ArenaLayout::of(parameters);
  Arena weights(layout), gradients(layout);
  weights.load(parameters, "", "golden");
  const auto table = optimizers();
  const auto optimizer = table.make(golden::optimizer_choice(table, entry, implementation), layout);
  std::vector<NamedTensors> result;
  for (const auto& step : golden::all()["gradients"]) {
    gradients.load(golden::tensors(step), "", "golden");
    UpdateTerms terms{.lr = optimizer->lr()};
    if (!entry["clip_norm"].is_null()) {
      const double norm = gradient_norm(gradients);
      EXPECT_NEAR(norm, entry["norms"][result.size()].get<double>(), 1e-6 * norm);
      terms.gradient.clip = clip_coefficient(norm, entry["clip_norm"]);
    }
    optimizer->step(weights, gradients, terms);
    NamedTensors copies;
    for (const NamedTensor& tensor : weights.named())
      copies.push_back({tensor.name, tensor.tensor.clone()});
    result.push_back(copies);
  }
  return result;
}

class AgainstPyTorch : public testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(AgainstPyTorch, TwentyStepsGiveItsNumbers) {
  const auto& [name, implementation] = GetParam();
  const auto& entry = golden::all()["optimizers"][name];
  const auto steps = run(entry, implementation);
  for (const auto& [step, by_name] : entry["shown"].items())
    for (const NamedTensor& wanted : golden::tensors(by_name))
      EXPECT_LT(
          relative_difference(*find_tensor(steps[std::stoul(step)], wanted.name), wanted.tensor),
          1e-6)
          << name << ", " << implementation << ", step " << step << ", " << wanted.name;
}

INSTANTIATE_TEST_SUITE_P(
    Optimizers, AgainstPyTorch,
    testing::Combine(testing::Values("adamw_default", "adamw_decay", "adam_plain", "adam_l2",
                                     "sgd_plain", "sgd_momentum", "sgd_dampening", "sgd_nesterov",
                                     "adamw_clipped"),
                     testing::Values("fused", "foreach", "reference")),
    [](const auto& info) { return std::get<0>(info.param) + "_" + std::get<1>(info.param); });

TEST(Optimizers, FusedAndReferenceGiveEqualBits) {
  for (const auto& [name, entry] : golden::all()["optimizers"].items()) {
    const auto fused = run(entry, "fused"), reference = run(entry, "reference");
    for (size_t i = 0; i < fused.back().size(); ++i)
      EXPECT_TRUE(at::equal(fused.back()[i].tensor, reference.back()[i].tensor)) << name;
  }
}

TEST(Optimizers, AutoIsTheFusedKernelOnCpu) {
  const ArenaLayout layout = ArenaLayout::of({{"w", at::zeros({4})}});
  const auto table = optimizers();
  EXPECT_EQ(table.make(Choice(table, "adamw"), layout)->implementation(), Implementation::kFused);
}

// Adam's first step in closed form: m̂ = g, v̂ = g², so w moves by lr·g/(|g| + eps).
TEST(Adam, TheFirstStepHasAClosedForm) {
  const ArenaLayout layout = ArenaLayout::of({{"w", at::zeros({3})}});
  Arena weights(layout), gradients(layout);
  weights.views()[0].copy_(at::tensor({1.0f, 2.0f, 3.0f}));
  gradients.views()[0].copy_(at::tensor({0.5f, -4.0f, 0.0f}));
  AdamOptions options;
  options.eps = 0.1;
  const auto adam = make_adam(options, false, layout);
  adam->step(weights, gradients, {.lr = 0.01});
  EXPECT_NEAR(weights.data()[0], 1 - 0.01 * 0.5 / 0.6, 1e-7);
  EXPECT_NEAR(weights.data()[1], 2 + 0.01 * 4 / 4.1, 3e-7);
  EXPECT_EQ(weights.data()[2], 3.0f);
  EXPECT_EQ(adam->updates(), 1);
}

TEST(Sgd, MomentumWithAConstantGradientIsAGeometricSum) {
  const ArenaLayout layout = ArenaLayout::of({{"w", at::zeros({1})}});
  Arena weights(layout), gradients(layout);
  gradients.data()[0] = 1;
  const auto table = optimizers();
  Choice choice(table, "sgd");
  auto options = std::make_shared<OptionsOf<SgdOptions>>();
  options->value.momentum = 0.5;
  choice.options = options;
  const auto sgd = table.make(choice, layout);
  double buffer = 0, wanted = 0;
  for (int step = 0; step < 10; ++step) {
    buffer = 0.5 * buffer + 1;
    wanted -= 0.1 * buffer;
    sgd->step(weights, gradients, {.lr = 0.1});
    EXPECT_NEAR(weights.data()[0], wanted, 1e-6);
  }
}

TEST(Sgd, RefusesNesterovWithoutMomentum) {
  const ArenaLayout layout = ArenaLayout::of({{"w", at::zeros({1})}});
  const auto table = optimizers();
  Choice choice(table, "sgd");
  auto options = std::make_shared<OptionsOf<SgdOptions>>();
  options->value.nesterov = true;
  choice.options = options;
  EXPECT_THROW(table.make(choice, layout), ConfigError);
}

struct Fixture {
  ArenaLayout layout;
  Arena weights, gradients, ema;
  Fixture()
      : layout(ArenaLayout::of({{"a.weight", at::zeros({300, 300})},
                                {"a.bias", at::zeros({300})},
                                {"b.weight", at::zeros({70'001})},
                                {"b.bias", at::zeros({5})}})),
        weights(layout),
        gradients(layout),
        ema(layout) {
    const Stream stream(3, Purpose::kTest);
    for (size_t p = 0; p < layout.entries.size(); ++p)
      for (int64_t i = layout.entries[p].offset;
           i < layout.entries[p].offset + layout.entries[p].count; ++i) {
        weights.data()[i] = stream.normal(0, 0, i);
        gradients.data()[i] = stream.normal(1, 0, i);
        ema.data()[i] = stream.normal(2, 0, i);
      }
  }
};

AdamWOptions with_groups(std::vector<GroupOptions> groups, const std::string& implementation) {
  AdamWOptions options;
  options.groups = std::move(groups);
  options.implementation = implementation;
  return options;
}

TEST(Groups, FrozenParametersStayAndOthersHaveTheirOwnRateAndDecay) {
  for (const char* implementation : {"fused", "foreach", "reference"}) {
    Fixture f, plain;
    const auto optimizer =
        make_adam(with_groups({{.match = "a.*", .freeze = true},
                               {.match = "*.bias", .lr_scale = 10, .weight_decay = 0.0}},
                              implementation),
                  true, f.layout);
    const at::Tensor before = f.weights.flat().clone();
    optimizer->step(f.weights, f.gradients, {.lr = 1e-3});
    EXPECT_TRUE(at::equal(f.weights.views()[0], before.narrow(0, 0, 90'000).view({300, 300})));
    EXPECT_TRUE(optimizer->frozen(1));  // the first matching group counts
    AdamWOptions bias_options;
    bias_options.weight_decay = 0;
    bias_options.implementation = implementation;
    make_adam(bias_options, true, plain.layout)->step(plain.weights, plain.gradients, {.lr = 1e-2});
    EXPECT_TRUE(at::equal(f.weights.views()[3], plain.weights.views()[3])) << implementation;
    EXPECT_FALSE(at::equal(f.weights.views()[2], plain.weights.views()[2])) << implementation;
  }
}

TEST(Groups, AnAbsoluteRateFollowsTheSchedule) {
  Fixture f, plain;
  const auto optimizer =
      make_adam(with_groups({{.match = "b.*", .lr = 4e-3}}, "fused"), true, f.layout);
  optimizer->step(f.weights, f.gradients,
                  {.lr = 0.5 * optimizer->lr()});  // half-way down a schedule
  make_adam(AdamWOptions(), true, plain.layout)->step(plain.weights, plain.gradients, {.lr = 2e-3});
  EXPECT_TRUE(at::equal(f.weights.views()[2], plain.weights.views()[2]));
}

TEST(Fused, FoldsScalingClippingAndEmaLikeSeparatePasses) {
  Fixture folded, apart;
  const auto one = make_adam(AdamWOptions(), true, folded.layout);
  const auto two = make_adam(AdamWOptions(), true, apart.layout);
  for (int step = 0; step < 3; ++step) {
    one->step(folded.weights, folded.gradients,
              {.lr = 1e-3,
               .gradient = {0.3f, 0.7f},
               .ema = &folded.ema,
               .ema_move = EmaMove{false, 0.005f}});
    Arena scaled(apart.layout);
    scaled.flat().copy_(apart.gradients.flat().mul(0.3f).mul(0.7f));
    two->step(apart.weights, scaled, {.lr = 1e-3});
    apart.ema.flat().add_(at::scalar_tensor(0.005f) * (apart.weights.flat() - apart.ema.flat()));
  }
  EXPECT_TRUE(at::equal(folded.weights.flat(), apart.weights.flat()));
  EXPECT_TRUE(at::equal(folded.ema.flat(), apart.ema.flat()));
}

TEST(Fused, ThreadsDoNotChangeABit) {
  Fixture one, many;
  const ParallelFor backwards = [](int64_t n, const std::function<void(int64_t)>& fn) {
    for (int64_t i = n - 1; i >= 0; --i) fn(i);
  };
  const auto a = make_adam(AdamWOptions(), true, one.layout),
             b = make_adam(AdamWOptions(), true, many.layout);
  for (int step = 0; step < 2; ++step) {
    a->step(one.weights, one.gradients, {.lr = 1e-3});
    b->step(many.weights, many.gradients, {.lr = 1e-3, .parallel = backwards});
  }
  EXPECT_TRUE(at::equal(one.weights.flat(), many.weights.flat()));
}

TEST(State, ALoadedOptimizerGoesOnWithTheSameBits) {
  Fixture straight, resumed;
  const auto a = make_adam(AdamWOptions(), true, straight.layout);
  a->step(straight.weights, straight.gradients, {.lr = 1e-3});
  a->step(straight.weights, straight.gradients, {.lr = 1e-3});
  const auto first = make_adam(AdamWOptions(), true, resumed.layout);
  first->step(resumed.weights, resumed.gradients, {.lr = 1e-3});
  const auto second = make_adam(AdamWOptions(), true, resumed.layout);
  second->load(first->state(), "checkpoint");
  EXPECT_EQ(second->updates(), 1);
  second->step(resumed.weights, resumed.gradients, {.lr = 1e-3});
  EXPECT_TRUE(at::equal(straight.weights.flat(), resumed.weights.flat()));
}

TEST(State, NamesGoByParameterAndLoadingIsStrict) {
  Fixture f;
  const auto adam = make_adam(AdamWOptions(), true, f.layout);
  NamedTensors state = adam->state();
  ASSERT_EQ(state.size(), 9u);
  EXPECT_EQ(state[0].name, "exp_avg.a.weight");
  EXPECT_EQ(state[7].name, "exp_avg_sq.b.bias");
  NamedTensors missing(state.begin() + 1, state.end());
  EXPECT_THROW(adam->load(missing, "file"), CheckpointError);
  NamedTensors unknown = state;
  unknown.push_back({"momentum.a.weight", at::zeros({300, 300})});
  EXPECT_THROW(adam->load(unknown, "file"), CheckpointError);
  unknown.back().name = "exp_avg.c.weight";
  EXPECT_THROW(adam->load(unknown, "file"), CheckpointError);
  state.pop_back();
  EXPECT_THROW(adam->load(state, "file"), CheckpointError);
}

}  // namespace
}  // namespace lockstep
