#include "optim/host_update.h"

#include <ATen/ATen.h>

#include <chrono>
#include <cmath>

#include "core/errors.h"
#include "optim/clip.h"

namespace lockstep {

HostUpdate::HostUpdate(const UpdateSetup& setup, Communicator* comm)
    : setup_(setup), comm_(comm), skipped_in_a_row_(setup.counts.skipped_in_a_row) {
  if (comm == nullptr && !setup.optimizer->shard().whole())
    throw InternalError("the update of a sharded optimizer needs a communicator");
  if (!setup.loss_scale) return;
  scale_.emplace(*setup.loss_scale);
  scale_->load(setup.counts.loss_scale);
}

UpdateOutcome HostUpdate::run(const PlannedUpdate& planned, double count, bool finite) {
  UpdateOutcome outcome;
  if (scale_) outcome.loss_scale = scale_->value();
  outcome.updated = update(planned, count, finite, outcome);
  if (scale_) scale_->update(outcome.updated);
  skipped_in_a_row_ = outcome.updated ? 0 : skipped_in_a_row_ + 1;
  outcome.counts.updates = setup_.optimizer->updates();
  outcome.counts.skipped_in_a_row = skipped_in_a_row_;
  if (scale_) outcome.counts.loss_scale = scale_->state();
  return outcome;
}

bool HostUpdate::update(const PlannedUpdate& planned, double count, bool finite,
                        UpdateOutcome& outcome) {
  Optimizer& optimizer = *setup_.optimizer;
  UpdateTerms terms;
  // One multiplication brings the sum to the mean, computed in double and rounded once.
  terms.gradient.multiplier =
      static_cast<float>(count > 0 ? setup_.backward_constant / (count * loss_scale()) : 0.0);
  outcome.grad_norm = comm_ == nullptr ? gradient_norm(*setup_.gradients, terms.gradient.multiplier)
                                       : gradient_norm(*setup_.gradients, terms.gradient.multiplier,
                                                       optimizer.shard(), *comm_);
  if (!finite || !std::isfinite(outcome.grad_norm)) return false;
  if (setup_.clip_norm > 0)
    terms.gradient.clip = clip_coefficient(outcome.grad_norm, setup_.clip_norm);
  terms.lr = planned.lr;
  terms.ema_move = planned.ema;
  if (optimizer.shard().whole()) terms.ema = setup_.ema;
  optimizer.step(*setup_.weights, *setup_.gradients, terms);
  if (!optimizer.shard().whole()) gather_weights(planned, outcome);
  if (setup_.low_weights.defined()) {
    const at::NoGradGuard no_grad;
    at::Tensor(setup_.low_weights).copy_(setup_.weights->flat());
  }
  return true;
}

// Each rank has updated the weights of its blocks and gets the others'. Every rank has the whole
// EMA and moves it by itself: one pass over memory costs less than sending it.
void HostUpdate::gather_weights(const PlannedUpdate& planned, UpdateOutcome& outcome) {
  const auto start = std::chrono::steady_clock::now();
  all_gather_blocks(*comm_, setup_.optimizer->shard(), *setup_.weights);
  outcome.exchange_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (planned.ema && setup_.ema != nullptr)
    move_average(*setup_.ema, *setup_.weights, *planned.ema);
}

}  // namespace lockstep
