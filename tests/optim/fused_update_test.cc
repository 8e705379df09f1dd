// The update of a device by our kernels, here by their CPU twins, against Optimizer::step and the host's loss scale; and
// which update a device gets.
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/errors.h"
#include "optim/adam.h"
#include "optim/clip.h"
#include "optim/device_update.h"
#include "optim/sgd.h"

namespace lockstep {
namespace {

NamedTensors parameters() {
  return {{"a.weight", at::sin(at::arange(70'000).to(at::kFloat))}, {"a.bias", at::ones({7})}, {"frozen", at::ones({5})}};
}

std::vector<GroupOptions> groups() {
  return {{"*.bias", 0.5, std::nullopt, 0.0, false}, {"frozen", 1, std::nullopt, std::nullopt, true}};
}

// Weights, gradients, EMA and an optimizer with two groups and a frozen parameter.
struct Side {
  ArenaLayout layout = ArenaLayout::of(parameters());
  Arena weights{layout}, gradients{layout}, ema{layout};
  std::unique_ptr<Optimizer> optimizer;

  explicit Side(bool adam) {
    weights.load(parameters(), "", "the test");
    ema.flat().copy_(weights.flat());
    AdamWOptions adam_options;
    adam_options.groups = groups();
    SgdOptions sgd_options;
    sgd_options.momentum = 0.9;
    sgd_options.groups = groups();
    if (adam) optimizer = make_adam(adam_options, true, layout);
    else optimizer = make_sgd(sgd_options, layout);
  }
  void make_gradients(int64_t step) {
    for (size_t i = 0; i < gradients.views().size(); ++i) {
      at::Tensor view = gradients.views()[i];
      view.copy_(at::cos(at::arange(view.numel()).to(at::kFloat) * 0.3 + static_cast<double>(step)).view(view.sizes()));
    }
  }
};

PlannedUpdate planned(int64_t update) { return {1e-2 / static_cast<double>(update + 1), ema_move({0.99, 2, false}, update)}; }

constexpr double kConstant = 64, kCount = 50;

// The host's way: train/step.cc.
void host_step(Side& host, LossScale& scale) {
  UpdateTerms terms;
  terms.gradient.multiplier = static_cast<float>(kConstant / (kCount * scale.value()));
  const double norm = gradient_norm(host.gradients, terms.gradient.multiplier);
  scale.update(std::isfinite(norm));
  if (!std::isfinite(norm)) return;
  terms.gradient.clip = clip_coefficient(norm, 1.0);
  const PlannedUpdate plan = planned(host.optimizer->updates());
  terms.lr = plan.lr;
  terms.ema = &host.ema;
  terms.ema_move = plan.ema;
  host.optimizer->step(host.weights, host.gradients, terms);
}

void check(bool adam) {
  Side host(adam), device(adam);
  const LossScaleOptions scaling{1024, 2, 1, 10};
  LossScale scale(scaling);
  DeviceUpdateSetup setup{device.optimizer.get(), &device.weights, &device.gradients, &device.ema};
  setup.low_weights = at::zeros({device.layout.size}, at::kBFloat16);
  setup.backward_constant = kConstant;
  setup.clip_norm = 1;
  setup.loss_scale = scaling;
  setup.counts.loss_scale = scale.state();
  const auto update = make_device_update(setup);
  at::Tensor report = at::zeros({DeviceUpdate::kReportSize}, at::kDouble);
  int64_t skipped = 0;
  for (int64_t step = 0; step < 8; ++step) {
    host.make_gradients(step);
    device.make_gradients(step);
    const bool overflow = step == 3 || step == 4;
    if (overflow) host.gradients.data()[77] = device.gradients.data()[77] = INFINITY;
    skipped = overflow ? skipped + 1 : 0;
    const double used = scale.value();
    EXPECT_EQ(update->loss_scale().item<float>(), used);
    host_step(host, scale);
    // The device may be ahead of what the host knows: rows are written for updates up to three behind.
    const int64_t known = std::max<int64_t>(0, host.optimizer->updates() - 1);
    update->run(update->rows(known, planned), at::tensor({2.0, kCount}, at::kDouble), report);
    const double* told = report.const_data_ptr<double>();
    EXPECT_EQ(told[DeviceUpdate::kUpdated], overflow ? 0 : 1) << step;
    EXPECT_EQ(told[DeviceUpdate::kScale], used);
    EXPECT_EQ(told[DeviceUpdate::kNextScale], scale.value());
    EXPECT_EQ(told[DeviceUpdate::kUpdates], host.optimizer->updates());
    EXPECT_EQ(told[DeviceUpdate::kSkippedInARow], skipped);
    EXPECT_TRUE(at::equal(device.weights.flat(), host.weights.flat())) << step;
    EXPECT_TRUE(at::equal(device.ema.flat(), host.ema.flat())) << step;
    for (size_t i = 0; i < host.optimizer->flat_states().size(); ++i)
      EXPECT_TRUE(at::equal(device.optimizer->flat_states()[i], host.optimizer->flat_states()[i])) << step;
  }
  for (const ArenaEntry& entry : device.layout.entries) {
    if (entry.name == "frozen") continue;
    EXPECT_TRUE(at::equal(setup.low_weights.narrow(0, entry.offset, entry.count),
                          device.weights.flat().narrow(0, entry.offset, entry.count).to(at::kBFloat16)));
  }
}

TEST(FusedUpdate, AdamHasTheBitsOfTheHostsStepThroughSkippedSteps) { check(true); }
TEST(FusedUpdate, SgdHasTheBitsOfTheHostsStepThroughSkippedSteps) { check(false); }

TEST(FusedUpdate, TheImplementationOfADeviceIsChosenAndExplained) {
  EXPECT_EQ(choose_on_device("auto", "adam", true).implementation, Implementation::kFused);
  EXPECT_NE(choose_on_device("auto", "adam", true).text.find("auto: unscaling"), std::string::npos);
  EXPECT_EQ(choose_on_device("auto", "muon", false).implementation, Implementation::kForeach);
  EXPECT_EQ(choose_on_device("foreach", "adam", true).implementation, Implementation::kForeach);
  EXPECT_EQ(choose_on_device("fused", "adam", true).implementation, Implementation::kFused);
  EXPECT_THROW(choose_on_device("fused", "muon", false), ConfigError);
  EXPECT_THROW(choose_on_device("reference", "adam", true), ConfigError);
}

TEST(FusedUpdate, ADeviceUsesItUnlessLibTorchIsAskedFor) {
  Side side(true);
  DeviceUpdateSetup setup{side.optimizer.get(), &side.weights, &side.gradients};
  EXPECT_NE(make_device_update(setup)->choice().find("fused"), std::string::npos);
  AdamWOptions options;
  options.implementation = "foreach";
  const auto plain = make_adam(options, true, side.layout);
  setup.optimizer = plain.get();
  EXPECT_NE(make_device_update(setup)->choice().find("foreach"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
