// Samplers against denoising-diffusion-pytorch and diffusers (golden/make_diffusion.py), and
// against exact arithmetic on Gaussian data.
#include <cmath>

#include <gtest/gtest.h>

#include "core/errors.h"
#include "models/diffusion/sampler_grids.h"
#include "models/diffusion/sampler_update.h"
#include "tensor/safetensors.h"

namespace lockstep {
namespace {

const NamedTensors& golden_file(const std::string& peer) {
  static const NamedTensors lucidrains =
      load_safetensors(LOCKSTEP_SOURCE_DIR "/tests/models/golden/lucidrains.safetensors");
  static const NamedTensors diffusers =
      load_safetensors(LOCKSTEP_SOURCE_DIR "/tests/models/golden/diffusers.safetensors");
  return peer == "diffusers" ? diffusers : lucidrains;
}

DiffusionSchedule schedule_of(const std::string& beta_schedule, const std::string& objective,
                              int64_t timesteps) {
  DiffusionOptions options;
  options.beta_schedule = beta_schedule;
  options.objective = objective;
  options.timesteps = timesteps;
  return DiffusionSchedule(options);
}

// The network of the golden file.
at::Tensor formula(const at::Tensor& x, int64_t t, int64_t timesteps, int64_t outputs,
                   const at::Tensor& self) {
  const at::Tensor in = self.defined() ? x + 0.1 * self : x;
  const at::Tensor out =
      0.6 * in + 0.3 * at::sin(2 * in + static_cast<float>(t) / static_cast<float>(timesteps));
  return outputs == x.size(1) ? out : at::cat({out, at::cos(in)}, 1);
}

// The largest error of any state, relative to the largest element of the trajectory.
double error_of(const std::string& peer, const std::string& name, const SamplerPlan& plan,
                int64_t timesteps, bool self = false, bool learned = false) {
  const NamedTensors& golden = golden_file(peer);
  const at::Tensor expected = *find_tensor(golden, name + ".trajectory");
  SamplerState state{find_tensor(golden, name + ".noise")->clone(), {}};
  double worst = 0;
  for (size_t k = 0; k < plan.steps.size(); ++k) {
    const at::Tensor fed =
        self ? (state.start.defined() ? state.start : at::zeros_like(state.x)) : at::Tensor();
    const at::Tensor out = formula(state.x, plan.steps[k].time, timesteps, learned ? 6 : 3, fed);
    const auto index = static_cast<int64_t>(k);
    sampler_update(plan.steps[k], out,
                   find_tensor(golden, name + ".step_noise")->select(0, index).contiguous(), state);
    worst = std::max(worst, (state.x - expected.select(1, index + 1)).abs().max().item<double>());
  }
  EXPECT_EQ(static_cast<int64_t>(plan.steps.size()) + 1, expected.size(1)) << name;
  return worst / expected.abs().max().item<double>();
}

constexpr const char* kObjectives[] = {"pred_noise", "pred_x0", "pred_v"};

TEST(Samplers, DdpmGoesUpstreamsWay) {
  for (const char* objective : kObjectives)
    EXPECT_LT(error_of("lucidrains", std::string("ddpm.") + objective,
                       *make_ddpm({}, schedule_of("cosine", objective, 20)), 20),
              1e-5)
        << objective;
  EXPECT_LT(error_of("lucidrains", "ddpm.learned",
                     *make_ddpm({}, schedule_of("linear", "pred_noise", 40)), 40, false, true),
            1e-5);
}

TEST(Samplers, DdimGoesUpstreamsWay) {
  for (const char* objective : kObjectives) {
    DdimOptions options;
    options.steps = 7;
    EXPECT_LT(error_of("lucidrains", std::string("ddim.") + objective,
                       *make_ddim(options, schedule_of("linear", objective, 1000)), 1000),
              1e-4)
        << objective;
  }
  DdimOptions noisy;
  noisy.steps = 9;
  noisy.eta = 0.7;
  EXPECT_LT(error_of("lucidrains", "ddim.eta",
                     *make_ddim(noisy, schedule_of("sigmoid", "pred_x0", 1000)), 1000),
            1e-5);
  DdimOptions fed;
  fed.steps = 6;
  EXPECT_LT(error_of("lucidrains", "ddim.self",
                     *make_ddim(fed, schedule_of("sigmoid", "pred_v", 1000)), 1000, true),
            1e-5);
}

TEST(Samplers, DdimOfDiffusersGridsGoesItsWay) {
  for (const char* spacing : {"linspace", "leading", "trailing"})
    for (const char* objective : kObjectives) {
      DdimOptions options;
      options.steps = 7;
      options.spacing = spacing;
      options.eta = options.spacing == "trailing" ? 0.3 : 0;
      options.clip_x0 = options.spacing != "linspace";
      options.final_alpha = options.spacing == "leading" ? "first" : "one";
      const std::string name = std::string("diffusers.ddim.") + spacing + "." + objective;
      EXPECT_LT(error_of("diffusers", name,
                         *make_ddim(options, schedule_of("linear", objective, 1000)), 1000),
                1e-5)
          << name;
    }
}

TEST(Samplers, DpmSolverGoesDiffusersWay) {
  for (const char* spacing : {"linspace", "leading", "trailing"})
    for (const char* objective : kObjectives) {
      DpmppOptions options;
      options.steps = 8;
      options.spacing = spacing;
      options.solver = options.spacing == "leading" ? "heun" : "midpoint";
      const std::string name = std::string("diffusers.dpm.") + spacing + "." + objective;
      EXPECT_LT(error_of("diffusers", name,
                         *make_dpmpp_2m(options, schedule_of("linear", objective, 1000)), 1000),
                1e-5)
          << name;
    }
  const auto schedule = schedule_of("linear", "pred_noise", 1000);
  const auto check = [&](const char* name, int64_t steps, void (*set)(DpmppOptions&),
                         double tolerance = 1e-5) {
    DpmppOptions options;
    options.steps = steps;
    set(options);
    EXPECT_LT(error_of("diffusers", std::string("diffusers.dpm.") + name + ".pred_noise",
                       *make_dpmpp_2m(options, schedule), 1000),
              tolerance)
        << name;
  };
  check("sde", 8, [](DpmppOptions& o) { o.solver = "sde"; });
  // diffusers multiplies 1,000 alphas in float32: its largest sigma is off by 7e-8, which
  // pred_noise enlarges 157 times. In double it agrees with ours.
  check("karras", 9, [](DpmppOptions& o) { o.karras = true; }, 3e-5);
  check("sigma_min", 16, [](DpmppOptions& o) { o.final_sigma = "sigma_min"; });
  check("one", 1, [](DpmppOptions&) {});
}

// Data N(0, 0.25), exact predictor, x = 1 at the start, all in double.
double on_gaussian_data(const SamplerPlan& plan, const DiffusionSchedule& schedule) {
  double x = 1, previous = 0;
  for (const SamplerStep& step : plan.steps) {
    const double a = schedule.abar[static_cast<size_t>(step.time)];
    const double start =
        std::sqrt(a) * 0.25 / (a * 0.25 + 1 - a) * x;  // the network predicts the picture
    x = step.x_weight * x + step.start_weight * start + step.output_weight * start +
        step.previous_weight * previous;
    previous = start;
  }
  return x;
}

// Values of an independent double-precision calculation; the exact solution ends at 0.50000757.
TEST(Samplers, SolveGaussianDataAsCalculated) {
  const DiffusionSchedule schedule = schedule_of("linear", "pred_x0", 1000);
  const int64_t steps[] = {5, 10, 20, 50, 100, 250};
  const double zero[] = {.27038719, .40346538, .47693481, .49977701, .50034337, .49988189};
  const double sigma_min[] = {.27819966, .40896880, .61373518, .52693569, .50701136, .50114609};
  const double ddim[] = {.26254274, .36995481, .43136753, .47140267, .48544710, .49408532};
  for (size_t i = 0; i < std::size(steps); ++i) {
    DpmppOptions dpm;
    dpm.steps = steps[i];
    EXPECT_NEAR(on_gaussian_data(*make_dpmpp_2m(dpm, schedule), schedule), zero[i], 1e-8);
    dpm.final_sigma = "sigma_min";
    EXPECT_NEAR(on_gaussian_data(*make_dpmpp_2m(dpm, schedule), schedule), sigma_min[i], 1e-8);
    DdimOptions options;
    options.steps = steps[i];
    options.clip_x0 = false;
    EXPECT_NEAR(on_gaussian_data(*make_ddim(options, schedule), schedule), ddim[i], 1e-8);
  }
}

TEST(Samplers, StayFiniteWhereLevelsRepeat) {
  const DiffusionSchedule schedule = schedule_of("linear", "pred_x0", 1000);
  for (const char* solver : {"midpoint", "heun", "sde"})
    for (const int64_t steps : {2, 15, 1000}) {
      DpmppOptions options;
      options.steps = steps;
      options.solver = solver;
      options.karras = true;
      options.final_sigma = "sigma_min";
      const double x = on_gaussian_data(*make_dpmpp_2m(options, schedule), schedule);
      EXPECT_TRUE(std::isfinite(x)) << solver << " " << steps;
    }
}

TEST(Samplers, VisitTheTimestepsOfTheirOriginals) {
  EXPECT_EQ(dpm_times("linspace", 20, 1000),
            (std::vector<int64_t>{999, 949, 899, 849, 799, 749, 699, 649, 599, 549,
                                  500, 450, 400, 350, 300, 250, 200, 150, 100, 50}));
  EXPECT_EQ(ddim_times("leading", 4, 1000), (std::vector<int64_t>{750, 500, 250, 0}));
  EXPECT_EQ(ddim_times("trailing", 4, 1000), (std::vector<int64_t>{999, 749, 499, 249}));
  EXPECT_EQ(lucidrains_times(4, 1000), (std::vector<int64_t>{999, 749, 499, 249, -1}));
  EXPECT_EQ(lucidrains_times(3, 3), (std::vector<int64_t>{2, 1, 0, -1}));
}

TEST(Samplers, RefuseMoreStepsThanTimesteps) {
  const DiffusionSchedule schedule = schedule_of("linear", "pred_x0", 100);
  DdimOptions ddim;
  ddim.steps = 101;
  EXPECT_THROW(make_ddim(ddim, schedule), ConfigError);
  DpmppOptions dpm;
  dpm.steps = 100;
  dpm.spacing = "leading";
  EXPECT_THROW(make_dpmpp_2m(dpm, schedule), ConfigError);
  DdpmOptions ddpm;
  ddpm.steps = 50;
  EXPECT_THROW(make_ddpm(ddpm, schedule), ConfigError);
}

}  // namespace
}  // namespace lockstep
