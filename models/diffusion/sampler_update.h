// One sampler step on tensors: one pass over the state, each element in double and rounded once.
#pragma once

#include "models/diffusion/samplers.h"

namespace lockstep {

// What a sampler carries from step to step. Contiguous float32 of one shape, on the CPU.
struct SamplerState {
  at::Tensor x;
  at::Tensor start;  // estimate of the picture of the step before; undefined at first
};

// Applies `step` to `state`, in place for x. `output`: the network's, [B, C or 2C, H, W]; with 2C
// the second half is the learned variance. `noise`: like x, undefined if the step needs none. Any
// thread.
void sampler_update(const SamplerStep& step, const at::Tensor& output, const at::Tensor& noise,
                    SamplerState& state);

// Whether sampler_update uses noise.
bool needs_noise(const SamplerStep& step);

}  // namespace lockstep
