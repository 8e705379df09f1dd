// What a training step does, whoever runs it: which rows it reads, how its loss is scaled, what its
// update uses, and what its result says. Executors (step_executor.h) add where and when.
//
// A step:
//     for each slot of this rank, for each of its micro-batches:
//       next_micro_batch → Task's loss → backward from loss_scale / backward_constant
//     add up gradients and totals over slots and ranks
//     update by planned(): mean, norm, clip, optimizer, EMA (host_update.h, device_update.h)
//     conclude(): state and result
#pragma once

#include <memory>
#include <optional>

#include "data/loader.h"
#include "data/sample_order.h"
#include "ddp/gradient_sync.h"
#include "ddp/tree.h"
#include "optim/schedules.h"
#include "optim/update_setup.h"
#include "train/session.h"
#include "train/step_result.h"

namespace lockstep {

// One per rank, made where training begins. planned(), context() and next_micro_batch() may be
// called from several threads; conclude() belongs to the training thread.
class StepRules {
 public:
  // The session outlives it.
  explicit StepRules(Session& session);

  // C of design.md 3, rule 6: backward starts from 1/C, so that sums stay near one.
  double backward_constant() const { return backward_constant_; }
  // The slots that this rank computes, counted over all ranks.
  SlotRange slots() const { return slots_; }
  // How gradients are exchanged.
  GradientSyncOptions exchange() const;
  // What updates work on; `gradients` are the sums over all slots.
  UpdateSetup update_setup(Arena& gradients) const;

  // Reads the micro-batches of `slots`, step by step, from the current step on. `sharing` loaders
  // share the rank's data threads. These rules outlive it.
  std::unique_ptr<Loader> make_loader(SlotRange slots, int sharing) const;
  // Throws InternalError if the loader ended before the training, and what reading threw.
  Batch next_micro_batch(Loader& loader) const;
  // What the loss of `step` (from 0) draws its random numbers by. `few_shapes`: tasks/task.h.
  StepContext context(int64_t step, int64_t few_shapes = 0) const;

  // What update number `update` uses if it is made at `step`, both from 0. A step beyond the last
  // one has the last one's.
  PlannedUpdate planned(int64_t step, int64_t update) const;

  // After `step` (from 0): brings the session's state and the optimizer's count up to date, and
  // gives the result without times. `totals` are those over all slots and ranks. Throws
  // NumericError if too many steps in a row had no finite gradient.
  StepResult conclude(int64_t step, const StepTotals& totals, const UpdateOutcome& outcome) const;

 private:
  double rate(int64_t step, int64_t updates) const;
  void check_skips(int64_t step) const;

  Session& session_;
  const double backward_constant_;
  const SlotRange slots_;
  const SampleOrder order_;
  const std::unique_ptr<Schedule> schedule_;
  std::optional<LossScaleOptions> loss_scale_;  // none: the precision needs none
};

}  // namespace lockstep
