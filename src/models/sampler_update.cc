#include "models/sampler_update.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "core/errors.h"

namespace lockstep {
namespace {

struct Pointers {
  float* x;
  float* start;
  const float* output;
  const float* previous;  // may be start itself; null: none
  const float* noise;     // null: none
};

// One image's `count` elements.
template <bool kPrevious, bool kNoise>
void update(const SamplerStep& step, const Pointers& p, int64_t count) {
  const double low = step.clip ? -1 : -HUGE_VAL, high = step.clip ? 1 : HUGE_VAL;
  for (int64_t i = 0; i < count; ++i) {
    const double x = p.x[i], output = p.output[i];
    double start = step.start.x * x + step.start.output * output;
    start = start < low ? low : start > high ? high : start;  // keeps NaN
    double next = step.x_weight * x + step.start_weight * start + step.output_weight * output;
    if constexpr (kPrevious) next += step.previous_weight * p.previous[i];
    if constexpr (kNoise) next += step.noise_weight * p.noise[i];
    p.start[i] = static_cast<float>(start);
    p.x[i] = static_cast<float>(next);
  }
}

using Update = void (*)(const SamplerStep&, const Pointers&, int64_t);

// exp(v/2)·z with v between step.learned's limits.
at::Tensor with_learned_variance(const SamplerStep& step, const at::Tensor& word, const at::Tensor& noise) {
  const at::Tensor share = (word.to(at::kDouble) + 1) * 0.5;
  const at::Tensor log_variance = share * step.learned->high + (1 - share) * step.learned->low;
  return ((log_variance * 0.5).exp() * noise).to(at::kFloat).contiguous();
}

}  // namespace

bool needs_noise(const SamplerStep& step) { return step.noise_weight != 0; }

void sampler_update(const SamplerStep& row, const at::Tensor& output, const at::Tensor& noise, SamplerState& state) {
  SamplerStep step = row;
  const int64_t channels = state.x.size(1);
  const at::Tensor words = output.narrow(1, 0, channels).contiguous();
  at::Tensor z = needs_noise(step) ? noise : at::Tensor();
  if (z.defined() && step.learned && output.size(1) == 2 * channels) {
    z = with_learned_variance(step, output.narrow(1, channels, channels), z);
    step.noise_weight = 1;
  }
  const bool with_previous = step.previous_weight != 0;
  if (with_previous && !state.start.defined()) throw InternalError("a sampler's first step asks for the one before");
  if (!state.start.defined()) state.start = at::empty_like(state.x);
  const Pointers p{state.x.mutable_data_ptr<float>(), state.start.mutable_data_ptr<float>(),
                   words.const_data_ptr<float>(), state.start.const_data_ptr<float>(),
                   z.defined() ? z.const_data_ptr<float>() : nullptr};
  const Update run = with_previous ? (z.defined() ? update<true, true> : update<true, false>)
                                   : (z.defined() ? update<false, true> : update<false, false>);
  run(step, p, state.x.numel());
}

}  // namespace lockstep
