#include "optim/optimize.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <limits>

#include "core/log.h"
#include "optim/clip.h"
#include "optim/device_update.h"
#include "optim/optimize_inputs.h"

namespace lockstep {

namespace {

void append_copies(NamedTensors& outputs, const Arena& arena, const std::string& prefix) {
  const at::Tensor values = arena.flat().cpu();
  for (const NamedTensor& view : arena.named(prefix))
    outputs.push_back(
        {view.name,
         values.as_strided(view.tensor.sizes(), view.tensor.strides(), view.tensor.storage_offset())
             .clone()});
}

// The position of step `k` of `steps` if it is update number `updates`.
SchedulePosition position_of(const OptimizeSettings& settings, int64_t steps, int64_t k,
                             int64_t updates) {
  const int64_t total = settings.total_steps > 0 ? settings.total_steps : steps;
  return {.updates = updates,
          .total_updates = total,
          .epoch = k * settings.epochs / total,
          .epochs = settings.epochs};
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

  NamedTensors outputs;
  for (int64_t k = 0; k < steps; ++k) {
    for (size_t i = 0; i < given.gradients[k].size(); ++i)
      gradients.views()[i].copy_(given.gradients[k][i]);
    const bool skipped = !given.found_inf.empty() && given.found_inf[k] != 0;
    if (!skipped) {
      const int64_t updates = optimizer->updates();
      UpdateTerms terms;
      terms.lr = schedule->rate(optimizer->lr(), position_of(settings, steps, k, updates));
      if (!given.scale.empty())
        terms.gradient.multiplier = static_cast<float>(1.0 / given.scale[k]);
      if (settings.clip_norm)
        terms.gradient.clip = clip_coefficient(gradient_norm(gradients, terms.gradient.multiplier),
                                               *settings.clip_norm);
      terms.ema = &ema;
      terms.ema_move = ema_move(settings.ema, updates);
      optimizer->step(weights, gradients, terms);
    }
    append_copies(outputs, weights, fmt::format("param.{}.", k));
    if (settings.ema.enabled()) append_copies(outputs, ema, fmt::format("ema.{}.", k));
  }
  return outputs;
}

NamedTensors optimize_on_device(const NamedTensors& inputs, const OptimizeSettings& settings,
                                Device& device) {
  const at::NoGradGuard no_grad;
  const OptimizeInputs given = read_optimize_inputs(inputs);
  const ArenaLayout layout = ArenaLayout::of(given.parameters);
  const auto optimizer = optimizers().make(settings.optimizer, layout);
  const auto schedule = schedules().make(settings.schedule);
  const int64_t steps = std::ssize(given.gradients);
  NamedTensors outputs;
  const auto queue = device.make_queue();
  queue->run([&] {
    Arena weights(layout, device.where()), gradients(layout, device.where()),
        ema(layout, device.where());
    weights.load(given.parameters, "", "the inputs");
    ema.flat().copy_(weights.flat());
    optimizer->to(device.where());
    DeviceUpdateSetup setup(
        {optimizer.get(), &weights, &gradients, settings.ema.enabled() ? &ema : nullptr});
    setup.clip_norm = settings.clip_norm.value_or(0);
    setup.device = device.where();
    const auto update = make_device_update(setup);
    log_info(update->choice());
    const at::Tensor report = at::zeros(
        {DeviceUpdate::kReportSize}, at::TensorOptions().dtype(at::kDouble).device(device.where()));
    for (int64_t k = 0; k < steps; ++k) {
      for (size_t i = 0; i < given.gradients[k].size(); ++i)
        gradients.views()[i].copy_(given.gradients[k][i]);
      DeviceUpdate::Rows rows = update->rows(optimizer->updates(), [&](int64_t number) {
        return PlannedUpdate{
            schedule->rate(optimizer->lr(), position_of(settings, steps, k, number)),
            ema_move(settings.ema, number)};
      });
      for (auto& [name, tensor] : rows) tensor = tensor.to(device.where());
      // As a loss that is not finite, and a count that the gradients are divided by.
      const bool skipped = !given.found_inf.empty() && given.found_inf[k] != 0;
      const at::Tensor totals =
          at::tensor({skipped ? std::numeric_limits<double>::infinity() : 0.0,
                      given.scale.empty() ? 1.0 : static_cast<double>(given.scale[k])},
                     at::kDouble);
      update->run(rows, totals.to(device.where()), report);
      optimizer->note_updates(report[DeviceUpdate::kUpdates].item().to<int64_t>());
      append_copies(outputs, weights, fmt::format("param.{}.", k));
      if (settings.ema.enabled()) append_copies(outputs, ema, fmt::format("ema.{}.", k));
    }
  });
  return outputs;
}

}  // namespace lockstep
