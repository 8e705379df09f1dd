#include "optim/optimize.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/log.h"
#include "optim/clip.h"
#include "optim/optimize_inputs.h"

namespace lockstep {

namespace {

void append_copies(NamedTensors& outputs, const Arena& arena, const std::string& prefix) {
  for (const NamedTensor& tensor : arena.named(prefix)) outputs.push_back({tensor.name, tensor.tensor.clone()});
}

}  // namespace

NamedTensors optimize(const NamedTensors& inputs, const OptimizeSettings& settings) {
  const OptimizeInputs given = read_optimize_inputs(inputs);
  const ArenaLayout layout = ArenaLayout::of(given.parameters);
  Arena weights(layout), gradients(layout), ema(layout);
  weights.load(given.parameters, "", "the inputs");
  ema.flat().copy_(weights.flat());
  const auto optimizer = optimizers().make(settings.optimizer, layout);
  log_info(optimizer->choice());
  const auto schedule = schedules().make(settings.schedule);
  const int64_t steps = std::ssize(given.gradients);
  const int64_t total = settings.total_steps > 0 ? settings.total_steps : steps;

  NamedTensors outputs;
  for (int64_t k = 0; k < steps; ++k) {
    for (size_t i = 0; i < given.gradients[k].size(); ++i) gradients.views()[i].copy_(given.gradients[k][i]);
    const bool skipped = !given.found_inf.empty() && given.found_inf[k] != 0;
    if (!skipped) {
      const int64_t updates = optimizer->updates();
      UpdateTerms terms;
      terms.lr = schedule->rate(optimizer->lr(), {.updates = updates,
                                                  .total_updates = total,
                                                  .epoch = k * settings.epochs / total,
                                                  .epochs = settings.epochs});
      if (!given.scale.empty()) terms.gradient.multiplier = static_cast<float>(1.0 / given.scale[k]);
      if (settings.clip_norm)
        terms.gradient.clip =
            clip_coefficient(gradient_norm(gradients, terms.gradient.multiplier), *settings.clip_norm);
      terms.ema = &ema;
      terms.ema_move = ema_move(settings.ema, updates);
      optimizer->step(weights, gradients, terms);
    }
    append_copies(outputs, weights, fmt::format("param.{}.", k));
    if (settings.ema.enabled()) append_copies(outputs, ema, fmt::format("ema.{}.", k));
  }
  return outputs;
}

}  // namespace lockstep
