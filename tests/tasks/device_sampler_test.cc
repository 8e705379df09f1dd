// A device's sampler on the CPU's device: its pictures are those of the host's loop, to the bit.
#include "tasks/images/device_sampler.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "models/unet/unet.h"
#include "tasks/images/image_drawing.h"
#include "tensor/random.h"
#include "train/precision.h"

namespace lockstep {
namespace {

const std::vector<int64_t> kSizes = {3, 3, 8, 8};
const GuidanceOptions kGuidance{};

std::unique_ptr<Denoiser> tiny_unet(bool self_condition = false, bool learned_variance = false) {
  UnetOptions options;
  options.dim = 8;
  options.dim_mults = {1, 2};
  options.self_condition = self_condition;
  options.learned_variance = learned_variance;
  return make_unet(options, 3);
}

DiffusionSchedule schedule(const std::string& objective = "pred_v") {
  DiffusionOptions options;
  options.timesteps = 40;
  options.objective = objective;
  return GaussianDiffusion(options, 0.001).schedule();
}

SamplerDraw numbered(const Stream& stream, int64_t first) {
  SamplerDraw draw;
  draw.stream = &stream;
  draw.ids = {first, first + 1, first + 2};
  return draw;
}

// The host's loop for the same rows.
at::Tensor on_host(Denoiser& model, const SamplerPlan& plan, const SamplerDraw& draw) {
  const auto noise = [&](int64_t step) {
    return random_normal(*draw.stream, draw.ids, static_cast<uint32_t>(step), {3, 8, 8});
  };
  SamplerRun run;
  run.plan = &plan;
  run.guidance = &kGuidance;
  run.noise = [&](int64_t k) { return noise(k + 1); };
  run.classes = draw.classes;
  return run_sampler(model, noise(0), run);
}

void expect_equal_pictures(Denoiser& model, const SamplerPlan& plan, double tolerance = 0,
                           const at::Tensor& classes = {}) {
  const Stream stream(17, Purpose::kSampling);
  DeviceSampler sampler(make_cpu_device(), model, plan, kGuidance, kSizes);
  for (int64_t first = 0; first < 3; ++first) {  // the second and third draw replay every step
    SamplerDraw draw = numbered(stream, first * 3);
    draw.classes = classes;
    const at::Tensor ours = sampler.draw(draw), host = on_host(model, plan, draw);
    EXPECT_LE((ours - host).abs().max().item<double>(), tolerance) << first;
  }
  EXPECT_TRUE(sampler.is_recorded());
}

TEST(DeviceSampler, DrawsTheHostsPicturesWithEverySampler) {
  const auto model = tiny_unet();
  expect_equal_pictures(*model, *make_ddim({.steps = 5}, schedule()));
  expect_equal_pictures(*model,
                        *make_ddim({.steps = 5, .eta = 1, .spacing = "leading"}, schedule()));
  expect_equal_pictures(*model, *make_dpmpp_2m({.steps = 6}, schedule()));
  expect_equal_pictures(*model, *make_dpmpp_2m({.steps = 6, .solver = "sde"}, schedule()));
  expect_equal_pictures(*model, *make_ddpm({}, schedule()));
}

TEST(DeviceSampler, CarriesTheEstimateAndTheLearnedVariance) {
  expect_equal_pictures(*tiny_unet(true), *make_ddim({.steps = 5}, schedule()));
  // Another library's exponential, in double.
  expect_equal_pictures(*tiny_unet(false, true), *make_ddpm({}, schedule("pred_noise")), 1e-5);
}

// autocast keeps its copies of the weights until its guard ends; what was recorded outlives it, and
// sees changed weights.
TEST(DeviceSampler, KeepsLowPrecisionWeightsUpToDate) {
  const auto model = tiny_unet();
  const auto plan = make_ddim({.steps = 5}, schedule());
  const Stream stream(17, Purpose::kSampling);
  DeviceSampler sampler(make_cpu_device(), *model, *plan, kGuidance, kSizes);
  for (int64_t first = 0; first < 3; ++first) {
    at::Tensor ours, host;
    {
      const AutocastGuard autocast(Compute::kBf16, /*keep_casts=*/true);
      ours = sampler.draw(numbered(stream, 3 * first)).clone();
    }
    {
      const AutocastGuard autocast(Compute::kBf16, /*keep_casts=*/true);
      host = on_host(*model, *plan, numbered(stream, 3 * first));
    }
    EXPECT_TRUE(ours.equal(host)) << first;
    const at::NoGradGuard no_grad;
    for (const NamedTensor& entry : model->parameters()) at::Tensor(entry.tensor).mul_(1.1);
  }
  EXPECT_TRUE(sampler.is_recorded());
}

TEST(DeviceSampler, BringsClasses) {
  ClassUnetOptions options;
  options.dim = 8;
  options.dim_mults = {1, 2};
  expect_equal_pictures(*make_class_unet(options, 3), *make_ddim({.steps = 4}, schedule()), 0,
                        at::tensor({2, 0, 7}, at::kLong));
}

TEST(DeviceSampler, TakesGivenNoiseAndShowsEveryStep) {
  const auto model = tiny_unet();
  const auto plan = make_ddpm({}, schedule());
  const Stream stream(5, Purpose::kTest);
  const SamplerDraw rows = numbered(stream, 0);
  const auto noise = [&](int64_t step) {
    return random_normal(stream, rows.ids, static_cast<uint32_t>(step), {3, 8, 8});
  };
  SamplerDraw draw;
  draw.start = noise(0);
  draw.noise = [&](int64_t k) { return noise(k + 1); };
  int64_t steps = 0, seen = 0;
  at::Tensor last;
  draw.after_step = [&] { ++steps; };
  draw.look = [&](int64_t k, const at::Tensor& x) {
    EXPECT_EQ(k, seen++);
    last = x.clone();
  };
  DeviceSampler sampler(make_cpu_device(), *model, *plan, kGuidance, kSizes);
  const at::Tensor host = on_host(*model, *plan, rows);
  EXPECT_TRUE(sampler.draw(draw).equal(host));
  EXPECT_TRUE(last.equal(host));
  EXPECT_EQ(steps, 40);
  EXPECT_TRUE(sampler.draw(rows).equal(host))
      << "what was recorded for given noise is not replayed for numbered rows";
}

TEST(DeviceSampler, IsUsableAfterADrawWasGivenUp) {
  const auto model = tiny_unet();
  const auto plan = make_ddim({.steps = 5}, schedule());
  const Stream stream(17, Purpose::kSampling);
  DeviceSampler sampler(make_cpu_device(), *model, *plan, kGuidance, kSizes);
  SamplerDraw draw = numbered(stream, 0);
  int64_t left = 3;
  draw.after_step = [&] {
    if (--left == 0) throw std::runtime_error("enough");
  };
  EXPECT_THROW(sampler.draw(draw), std::runtime_error);
  draw.after_step = {};
  EXPECT_TRUE(sampler.draw(draw).equal(on_host(*model, *plan, draw)));
}

// A device that records nothing.
class NoGraph final : public DeviceGraph {
 public:
  void record(DeviceQueue&, const std::function<void()>&) override {
    throw std::runtime_error("not permitted\nand more");
  }
  void replay(DeviceQueue&) override { FAIL() << "nothing was recorded"; }
};
class DeviceWithoutGraphs final : public Device {
 public:
  at::Device where() const override { return at::kCPU; }
  std::string describe() const override { return ""; }
  std::unique_ptr<DeviceQueue> make_queue() override { return cpu_->make_queue(); }
  std::unique_ptr<DeviceGraph> make_graph() override { return std::make_unique<NoGraph>(); }
  at::Tensor pinned(at::IntArrayRef sizes, at::ScalarType dtype) override {
    return cpu_->pinned(sizes, dtype);
  }
  void synchronize() override {}
  DeviceMemory memory() const override { return {}; }

 private:
  const std::unique_ptr<Device> cpu_ = make_cpu_device();
};

TEST(DeviceSampler, GoesOnStepByStepWhereNothingCanBeRecorded) {
  const auto model = tiny_unet();
  const auto plan = make_ddim({.steps = 5}, schedule());
  const Stream stream(17, Purpose::kSampling);
  DeviceSampler sampler(std::make_unique<DeviceWithoutGraphs>(), *model, *plan, kGuidance, kSizes);
  EXPECT_TRUE(sampler.draw(numbered(stream, 0)).equal(on_host(*model, *plan, numbered(stream, 0))));
  EXPECT_FALSE(sampler.is_recorded());
  EXPECT_EQ(sampler.obstacle(), "not permitted");
  DeviceSampler eager(std::make_unique<DeviceWithoutGraphs>(), *model, *plan, kGuidance, kSizes,
                      /*with_graph=*/false);
  EXPECT_TRUE(eager.draw(numbered(stream, 0)).equal(on_host(*model, *plan, numbered(stream, 0))));
  EXPECT_EQ(eager.obstacle(), "");
}

}  // namespace
}  // namespace lockstep
