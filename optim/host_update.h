// The whole update of a step on the host: mean, norm, clip, optimizer, EMA, low-precision copy,
// loss scale and counts. device_update.h does the same on a device, with the same bits.
#pragma once

#include "ddp/communicator.h"
#include "optim/update_setup.h"

namespace lockstep {

// One per rank; all ranks make the same calls with the same numbers. Training thread.
class HostUpdate {
 public:
  // `comm`: of a sharded optimizer, null for a whole one. It outlives this object.
  explicit HostUpdate(const UpdateSetup& setup, Communicator* comm = nullptr);

  // What the loss is multiplied by before the next backward, beside 1/C; 1 without loss scaling.
  double loss_scale() const { return scale_ ? scale_->value() : 1; }

  // Collective if the optimizer is sharded. Updates by the mean of the gradients over `count`
  // (Σcount over slots and ranks). `finite`: false if some slot's loss was not; then, and if the
  // norm is not, no weight changes.
  UpdateOutcome run(const PlannedUpdate& planned, double count, bool finite);

 private:
  bool update(const PlannedUpdate& planned, double count, bool finite, UpdateOutcome& outcome);
  void gather_weights(const PlannedUpdate& planned, UpdateOutcome& outcome);

  const UpdateSetup setup_;
  Communicator* const comm_;
  std::optional<LossScale> scale_;
  int64_t skipped_in_a_row_;
};

}  // namespace lockstep
