// Noise schedules against denoising-diffusion-pytorch's buffers (golden/make_diffusion.py).
#include <cmath>

#include <gtest/gtest.h>

#include "core/errors.h"
#include "models/diffusion/diffusion_schedule.h"
#include "tensor/safetensors.h"

namespace lockstep {
namespace {

const NamedTensors& golden() {
  static const NamedTensors all =
      load_safetensors(LOCKSTEP_SOURCE_DIR "/tests/models/golden/schedules.safetensors");
  return all;
}

// The largest distance in units of the last place.
double ulps(const at::Tensor& a, const at::Tensor& b) {
  double most = 0;
  for (int64_t i = 0; i < a.numel(); ++i) {
    const float x = a.const_data_ptr<float>()[i], y = b.const_data_ptr<float>()[i];
    const double ulp = std::nextafter(std::abs(y), HUGE_VALF) - std::abs(y);
    most = std::max(most, std::abs(static_cast<double>(x) - y) / ulp);
  }
  return most;
}

TEST(DiffusionSchedule, GivesUpstreamsBuffersToOneUlp) {
  for (const char* name : {"linear", "cosine", "sigmoid"}) {
    DiffusionOptions options;
    options.beta_schedule = name;
    const NamedTensors mine = DiffusionSchedule(options).buffers();
    EXPECT_EQ(mine.size(), 13u);
    for (const NamedTensor& buffer : mine) {
      const at::Tensor* expected = find_tensor(golden(), std::string(name) + "." + buffer.name);
      ASSERT_NE(expected, nullptr) << buffer.name;
      EXPECT_LE(ulps(buffer.tensor, *expected), 1) << name << " " << buffer.name;
    }
  }
}

TEST(DiffusionSchedule, LimitsTheLossWeightByTheSignalToNoiseRatio) {
  for (const char* objective : {"pred_noise", "pred_x0", "pred_v"}) {
    DiffusionOptions options;
    options.timesteps = 60;
    options.beta_schedule = "cosine";
    options.objective = objective;
    options.min_snr_loss_weight = true;
    options.min_snr_gamma = 3;
    const NamedTensors mine = DiffusionSchedule(options).buffers();
    EXPECT_LE(ulps(*find_tensor(mine, "loss_weight"),
                   *find_tensor(golden(), std::string("min_snr.") + objective)),
              1);
  }
}

// Values by hand calculation (1,000 steps).
TEST(DiffusionSchedule, HasTheKnownValues) {
  DiffusionOptions options;
  options.beta_schedule = "sigmoid";
  const DiffusionSchedule sigmoid(options);
  EXPECT_NEAR(sigmoid.betas[0], 3.002792e-04, 1e-9);
  EXPECT_NEAR(sigmoid.abar[499], 0.5, 1e-6);
  EXPECT_EQ(sigmoid.betas[999], 0.999);
  options.beta_schedule = "cosine";
  EXPECT_NEAR(DiffusionSchedule(options).betas[500], 0.0031556914, 1e-9);
  options.beta_schedule = "linear";
  EXPECT_NEAR(DiffusionSchedule(options).abar[999], 4.0358e-05, 1e-8);
  options.linear_start = 0.001;
  options.linear_end = 0.01;
  EXPECT_NEAR(DiffusionSchedule(options).betas[999], 0.01, 1e-15);
}

TEST(DiffusionSchedule, RefusesBetasOfOneAndMore) {
  DiffusionOptions options;
  options.beta_schedule = "linear";
  options.timesteps = 10;
  EXPECT_THROW(DiffusionSchedule{options}, ConfigError);
}

}  // namespace
}  // namespace lockstep
