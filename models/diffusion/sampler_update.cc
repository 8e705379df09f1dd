#include "models/diffusion/sampler_update.h"

#include <cmath>

#include <ATen/ATen.h>

#include "core/errors.h"
#include "kernels/sampler_loops.h"

namespace lockstep {
namespace {

// exp(v/2)·z with v between step.learned's limits.
at::Tensor with_learned_variance(const SamplerStep& step, const at::Tensor& word,
                                 const at::Tensor& noise) {
  const at::Tensor share = (word.to(at::kDouble) + 1) * 0.5;
  const at::Tensor log_variance = share * step.learned->high + (1 - share) * step.learned->low;
  return ((log_variance * 0.5).exp() * noise).to(at::kFloat).contiguous();
}

}  // namespace

bool needs_noise(const SamplerStep& step) { return step.noise_weight != 0; }

void sampler_update(const SamplerStep& row, const at::Tensor& output, const at::Tensor& noise,
                    SamplerState& state) {
  SamplerStep step = row;
  const int64_t channels = state.x.size(1);
  const at::Tensor words = output.narrow(1, 0, channels).contiguous();
  at::Tensor z = needs_noise(step) ? noise : at::Tensor();
  if (z.defined() && step.learned && output.size(1) == 2 * channels) {
    z = with_learned_variance(step, output.narrow(1, channels, channels), z);
    step.noise_weight = 1;
  }
  const bool with_previous = step.previous_weight != 0;
  if (with_previous && !state.start.defined())
    throw InternalError("a sampler's first step asks for the one before");
  if (!state.start.defined()) state.start = at::empty_like(state.x);
  const double limit = step.clip ? 1 : HUGE_VAL;
  sampler_loop(
      {step.start.x, step.start.output, -limit, limit, step.x_weight, step.start_weight,
       step.output_weight, step.previous_weight, step.noise_weight},
      {state.x.mutable_data_ptr<float>(), state.start.mutable_data_ptr<float>(),
       words.const_data_ptr<float>(), with_previous ? state.start.const_data_ptr<float>() : nullptr,
       z.defined() ? z.const_data_ptr<float>() : nullptr},
      state.x.numel());
}

}  // namespace lockstep
