// What an update of the weights needs and what it tells, on the host (host_update.h) and on a
// device (device_update.h) alike.
#pragma once

#include <cstdint>
#include <optional>

#include "optim/loss_scale.h"
#include "optim/optimizers.h"

namespace lockstep {

// What update number `u` (counted from 0) uses.
struct PlannedUpdate {
  double lr = 0;               // scheduled
  std::optional<EmaMove> ema;  // none: the average rests
};

// Where a run stands; equal on all ranks.
struct UpdateCounts {
  int64_t updates = 0;
  int64_t skipped_in_a_row = 0;  // steps without an update, up to the last one
  LossScale::State loss_scale;   // of the next step
};

// What is updated, and by which constants. All that it points to outlives the update.
struct UpdateSetup {
  Optimizer* optimizer = nullptr;
  Arena* weights = nullptr;
  Arena* gradients = nullptr;    // the sums over all slots
  Arena* ema = nullptr;          // null: none
  at::Tensor low_weights;        // bf16 or fp16 copy in arena order; undefined: none
  double backward_constant = 1;  // C of design.md 3, rule 6
  double clip_norm = 0;          // 0: none
  std::optional<LossScaleOptions> loss_scale;
  UpdateCounts counts;  // before the first update
};

// How an update went; equal on all ranks but for the seconds.
struct UpdateOutcome {
  bool updated = false;              // false: not finite, so nothing changed but loss scale, skips
  double grad_norm = 0;              // of the mean gradient, before clipping
  std::optional<double> loss_scale;  // that backward used
  UpdateCounts counts;               // after the update
  double exchange_seconds = 0;       // of this rank: other ranks' weights of a sharded optimizer
};

}  // namespace lockstep
