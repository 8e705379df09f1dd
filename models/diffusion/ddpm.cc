#include <cmath>

#include <fmt/format.h>

#include "core/errors.h"
#include "models/diffusion/samplers.h"

namespace lockstep {

std::unique_ptr<SamplerPlan> make_ddpm(const DdpmOptions& options,
                                       const DiffusionSchedule& schedule) {
  if (options.steps.value_or(schedule.timesteps) != schedule.timesteps)
    throw ConfigError(fmt::format("sampler.steps is {}, and ddpm takes all {} timesteps",
                                  *options.steps, schedule.timesteps),
                      "leave sampler.steps out, or use sampler.kind=ddim");
  auto plan = std::make_unique<SamplerPlan>();
  for (int64_t t = schedule.timesteps - 1; t >= 0; --t) {
    const auto i = static_cast<size_t>(t);
    SamplerStep step;
    step.time = t;
    step.start = schedule.start(schedule.abar[i]);
    step.clip = options.clip_x0;
    step.x_weight = schedule.posterior_mean_coef2[i];
    step.start_weight = schedule.posterior_mean_coef1[i];
    if (t > 0) {  // the last step adds none
      step.noise_weight = std::exp(0.5 * schedule.posterior_log_variance_clipped[i]);
      step.learned = {schedule.posterior_log_variance_clipped[i], std::log(schedule.betas[i])};
    }
    plan->steps.push_back(step);
  }
  return plan;
}

}  // namespace lockstep
