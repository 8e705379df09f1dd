#include <cmath>

#include "models/diffusion/sampler_grids.h"
#include "models/diffusion/samplers.h"

namespace lockstep {
namespace {

// One step from signal share a to `next`: x' = √next·s + direction·eps + sigma·z, where eps is
// either derived from the estimate s or the network's own.
SamplerStep ddim_step(const DdimOptions& options, const DiffusionSchedule& schedule, double a,
                      double next, bool derive) {
  SamplerStep step;
  step.start = schedule.start(a);
  step.clip = options.clip_x0;
  const double sigma =
      next < 1 ? options.eta * std::sqrt((1 - a / next) * (1 - next) / (1 - a)) : 0;
  const double direction = std::sqrt(std::max(0.0, 1 - next - sigma * sigma));
  step.start_weight = std::sqrt(next);
  step.noise_weight = sigma;
  if (derive) {  // eps = (x − √a·s) / √(1−a)
    step.x_weight = direction / std::sqrt(1 - a);
    step.start_weight -= direction * std::sqrt(a / (1 - a));
  } else {
    const LinearForm eps = schedule.noise(a);
    step.x_weight = direction * eps.x;
    step.output_weight = direction * eps.output;
  }
  return step;
}

}  // namespace

std::unique_ptr<SamplerPlan> make_ddim(const DdimOptions& options,
                                       const DiffusionSchedule& schedule) {
  check_sampler_steps(options.steps, schedule.timesteps);
  auto plan = std::make_unique<SamplerPlan>();
  const auto abar = [&](int64_t t) { return schedule.abar[static_cast<size_t>(t)]; };
  const auto add = [&](int64_t t, double next, bool derive) {
    plan->steps.push_back(ddim_step(options, schedule, abar(t), next, derive));
    plan->steps.back().time = t;
  };
  if (options.spacing == "lucidrains") {
    const std::vector<int64_t> times = lucidrains_times(options.steps, schedule.timesteps);
    for (size_t i = 0; i + 1 < times.size(); ++i)
      add(times[i], times[i + 1] < 0 ? 1.0 : abar(times[i + 1]), options.clip_x0);
  } else {
    // diffusers steps to t − ⌊T/N⌋ under every spacing.
    const int64_t stride = schedule.timesteps / options.steps;
    const double last = options.final_alpha == "one" ? 1.0 : schedule.abar.front();
    for (int64_t t : ddim_times(options.spacing, options.steps, schedule.timesteps))
      add(t, t - stride >= 0 ? abar(t - stride) : last, false);
  }
  return plan;
}

}  // namespace lockstep
