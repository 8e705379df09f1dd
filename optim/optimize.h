// `lockstep optimize`: runs an optimizer on given parameters and gradients, for checking it
// against another framework (design.md 5). A pure function of its inputs.
#pragma once

#include <cstdint>
#include <optional>

#include "core/config/fields.h"
#include "optim/ema.h"
#include "optim/optimizers.h"
#include "optim/schedules.h"
#include "tensor/device.h"
#include "tensor/named.h"

namespace lockstep {

struct OptimizeSettings {
  Choice optimizer;                 // a row of optimizers()
  Choice schedule;                  // a row of schedules()
  std::optional<double> clip_norm;  // train.clip_norm
  EmaOptions ema;                   // train.ema
  int64_t total_steps = 0;          // T of the schedule; 0: the number of steps in the inputs
  int64_t epochs = 0;               // E of a schedule per epoch; the steps are shared out evenly
};

// In: `param.NAME`, `grad.K.NAME` for K = 0, 1, …, optional `found_inf` [K] (non-zero: nothing
// changes in that step) and `scale` [K] (divides the gradients). Out: `param.K.NAME` after step K,
// and with an EMA, which starts as the parameters, `ema.K.NAME`. Throws DataError for missing,
// unknown or misshapen inputs.
NamedTensors optimize(const NamedTensors& inputs, const OptimizeSettings& settings);

// The same by the update that steps on a device run (device_update.h): `fused` has the bits of the
// above. A step whose gradients are not finite changes nothing there, with `found_inf` or without.
NamedTensors optimize_on_device(const NamedTensors& inputs, const OptimizeSettings& settings,
                                Device& device);

}  // namespace lockstep
