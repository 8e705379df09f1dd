#include <cmath>

#include "models/diffusion/sampler_grids.h"
#include "models/diffusion/samplers.h"

namespace lockstep {
namespace {

// A noise level as the variance-exploding sigma s: alpha = 1/√(1+s²), noise s·alpha, lambda = −ln
// s.
struct Level {
  double sigma;
  double alpha() const { return 1 / std::sqrt(1 + sigma * sigma); }
  double noise() const { return sigma * alpha(); }
};

struct Grid {
  std::vector<int64_t> times;
  std::vector<Level> levels;  // one more than times
};

Grid make_grid(const DpmppOptions& options, const DiffusionSchedule& schedule, bool cosine) {
  check_sampler_steps(options.steps, schedule.timesteps);
  std::vector<double> sigmas;
  for (double a : schedule.abar) sigmas.push_back(std::sqrt((1 - a) / a));
  Grid grid;
  if (options.karras) {
    for (double sigma : karras_sigmas(options.steps, sigmas.front(), sigmas.back())) {
      grid.levels.push_back({sigma});
      const double time = time_of_sigma(sigma, sigmas);
      grid.times.push_back(static_cast<int64_t>(cosine ? time : std::nearbyint(time)));
    }
  } else {
    grid.times = dpm_times(options.spacing, options.steps, schedule.timesteps);
    for (int64_t t : grid.times) grid.levels.push_back({sigmas[static_cast<size_t>(t)]});
  }
  grid.levels.push_back({options.final_sigma == "zero" ? 0.0 : sigmas.front()});
  return grid;
}

// Diffusers: the first step has no past; the last is of first order if it ends at zero or if there
// are few steps.
bool is_first_order(const DpmppOptions& options, size_t i, size_t steps) {
  constexpr size_t kFewSteps = 15;
  return i == 0 || (i + 1 == steps && (options.final_sigma == "zero" || steps < kFewSteps));
}

// The step from levels[i] to levels[i+1]. With m the estimate and D its slope over the last step:
// x' = (σ'/σ) x + A·m + B·D, see arXiv:2211.01095, eq. 4.
SamplerStep make_step(const DpmppOptions& options, const std::vector<Level>& levels, size_t i) {
  const Level from = levels[i], to = levels[i + 1];
  SamplerStep step;
  step.clip = options.clip_x0;
  if (to.sigma ==
      from.sigma) {  // h = 0: nothing moves (Karras grids that end at their own smallest sigma)
    step.x_weight = 1;
    return step;
  }
  const double h = std::log(from.sigma) - std::log(to.sigma);  // +inf towards zero
  const bool sde = options.solver == "sde";
  const double gone =
      sde ? -std::expm1(-2 * h) : -std::expm1(-h);  // 1 − e^(−h), twice h with noise
  step.x_weight = to.sigma == 0 ? 0 : to.noise() / from.noise() * (sde ? std::exp(-h) : 1);
  step.start_weight = to.alpha() * gone;
  if (sde) step.noise_weight = to.noise() * std::sqrt(gone);
  const bool has_past = i > 0 && levels[i - 1].sigma != from.sigma;
  if (is_first_order(options, i, levels.size() - 1) || !has_past) return step;
  const double r = (std::log(levels[i - 1].sigma) - std::log(from.sigma)) / h;
  double slope = 0.5 * to.alpha() * gone;
  if (options.solver == "heun") slope = to.alpha() * (1 - gone / h);
  step.start_weight += slope / r;
  step.previous_weight = -slope / r;
  return step;
}

}  // namespace

std::unique_ptr<SamplerPlan> make_dpmpp_2m(const DpmppOptions& options,
                                           const DiffusionSchedule& schedule) {
  const Grid grid = make_grid(options, schedule, schedule.is_cosine);
  auto plan = std::make_unique<SamplerPlan>();
  for (size_t i = 0; i < grid.times.size(); ++i) {
    SamplerStep step = make_step(options, grid.levels, i);
    step.time = grid.times[i];
    const double alpha = grid.levels[i].alpha();
    step.start = schedule.start(alpha * alpha);
    plan->steps.push_back(step);
  }
  return plan;
}

}  // namespace lockstep
