#include "train/step/step_rules.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/errors.h"

namespace lockstep {
namespace {

// So many steps in a row without a finite gradient end the run: the numbers broke.
constexpr int64_t kMaxSkippedInARow = 10;

// A power of two, so that dividing by it rounds nothing.
double power_of_two_above(double count) {
  return std::exp2(std::ceil(std::log2(std::max(count, 1.0))));
}

}  // namespace

StepRules::StepRules(Session& session)
    : session_(session),
      backward_constant_(
          power_of_two_above(session.task().nominal_count(session.plan().micro_batch))),
      slots_(slots_of_rank(session.plan().slots, session.communicator().size(),
                           session.communicator().rank())),
      order_(session.train_data().size(), static_cast<uint64_t>(session.config().run.seed)),
      schedule_(session.kinds().schedules.make(session.config().schedule)) {
  if (!precision_of(session.config().precision.compute).scales_loss()) return;
  loss_scale_ = session.config().precision.loss_scale;
  TrainState& state = session.state();
  if (state.step == 0) state.loss_scale = LossScale(*loss_scale_).state();
}

GradientSyncOptions StepRules::exchange() const {
  const DdpOptions& ddp = session_.config().ddp;
  GradientSyncOptions options;
  options.num_slots = session_.plan().slots;
  options.tree = session_.plan().reduce == Reduce::kTree;
  options.overlap = ddp.overlap;
  options.bucket_bytes = ddp.bucket_megabytes << 20;
  options.first_bucket_bytes = std::min(options.bucket_bytes, options.first_bucket_bytes);
  options.shard = session_.shard();
  return options;
}

UpdateSetup StepRules::update_setup(Arena& gradients) const {
  const TrainState& state = session_.state();
  UpdateSetup setup;
  setup.optimizer = &session_.optimizer();
  setup.weights = &session_.weights();
  setup.gradients = &gradients;
  setup.ema = session_.has_ema() ? &session_.ema() : nullptr;
  setup.low_weights = session_.low_precision_weights();
  setup.backward_constant = backward_constant_;
  setup.clip_norm = session_.config().train.clip_norm;
  setup.loss_scale = loss_scale_;
  setup.counts = {state.updates, state.skipped_in_a_row, state.loss_scale};
  return setup;
}

// Micro-batch n of these slots belongs to step n / (micro-batches a step), and its rows follow from
// step, slot and place in the slot: the same rows for any number of ranks and loaders.
std::unique_ptr<Loader> StepRules::make_loader(SlotRange slots, int sharing) const {
  const RunPlan& plan = session_.plan();
  const int64_t a_step = slots.count() * plan.micro_batches_per_slot;
  const auto indices = [plan, first_slot = slots.begin, a_step](int64_t n) {
    std::vector<int64_t> out;
    const int64_t step = a_step > 0 ? n / a_step : plan.steps;
    if (step >= plan.steps) return out;
    const int64_t slot = first_slot + n % a_step / plan.micro_batches_per_slot;
    const int64_t micro = n % plan.micro_batches_per_slot;
    const int64_t begin =
        step * plan.global_batch + slot * plan.rows_per_slot() + micro * plan.micro_batch;
    for (int64_t i = 0; i < plan.micro_batch; ++i) out.push_back(begin + i);
    return out;
  };
  LoaderOptions options;
  options.threads = static_cast<int>(std::max<int64_t>(1, plan.data_threads / sharing));
  options.prefetch_batches = static_cast<int>(session_.config().data.prefetch_batches);
  return std::make_unique<Loader>(
      session_.train_data(), [this](int64_t index) { return order_.id(index); }, indices,
      session_.state().step * a_step, options);
}

Batch StepRules::next_micro_batch(Loader& loader) const {
  Batch batch = loader.next();
  if (batch.rows() != session_.plan().micro_batch)
    throw InternalError("the loader ended before the training");
  return batch;
}

StepContext StepRules::context(int64_t step, int64_t few_shapes) const {
  return {static_cast<uint64_t>(session_.config().run.seed), step, few_shapes};
}

double StepRules::rate(int64_t step, int64_t updates) const {
  SchedulePosition position;
  position.updates = updates;
  position.total_updates = session_.plan().steps;
  position.epoch = order_.epoch(step * session_.plan().global_batch);
  const auto& epochs = session_.config().train.epochs;
  if (epochs) position.epochs = static_cast<int64_t>(std::ceil(*epochs));
  return schedule_->rate(session_.optimizer().lr(), position);
}

PlannedUpdate StepRules::planned(int64_t step, int64_t update) const {
  const int64_t known = std::min(update, session_.plan().steps - 1);
  return {rate(step, known),
          session_.has_ema() ? ema_move(session_.config().train.ema, update) : std::nullopt};
}

StepResult StepRules::conclude(int64_t step, const StepTotals& totals,
                               const UpdateOutcome& outcome) const {
  const RunPlan& plan = session_.plan();
  TrainState& state = session_.state();
  state.updates = outcome.counts.updates;
  state.skipped_in_a_row = outcome.counts.skipped_in_a_row;
  if (loss_scale_) state.loss_scale = outcome.counts.loss_scale;
  session_.optimizer().note_updates(state.updates);
  check_skips(step + 1);

  StepResult result;
  result.step = step + 1;
  result.samples = plan.global_batch;
  if (plan.data.train_samples > 0)
    result.epoch = static_cast<double>(result.step) * plan.global_batch / plan.data.train_samples;
  result.loss = totals.count > 0 ? totals.loss_sum / totals.count : 0;
  if (totals.guesses > 0) result.accuracy = totals.correct / totals.guesses;
  result.stop = totals.stop > 0;
  result.grad_norm = outcome.grad_norm;
  result.updated = outcome.updated;
  result.lr = rate(step, state.updates - (outcome.updated ? 1 : 0));
  result.next_lr = rate(step + 1, state.updates);
  result.loss_scale = outcome.loss_scale;
  if (loss_scale_) result.next_loss_scale = state.loss_scale.scale;
  return result;
}

// Overflows are how a loss scale finds its level, so with one they count at its floor only.
void StepRules::check_skips(int64_t step) const {
  const TrainState& state = session_.state();
  const int64_t most = loss_scale_ ? loss_scale_->most_skips : kMaxSkippedInARow;
  if (state.skipped_in_a_row < most) return;
  std::string floor;
  if (loss_scale_) {
    LossScale scale(*loss_scale_);
    scale.load(state.loss_scale);
    if (!scale.at_floor()) return;
    floor = fmt::format(", and the loss scale is at its floor of {}", scale.value());
  }
  throw NumericError(
      fmt::format("the gradients of {} steps in a row were not finite, up to step {}{}",
                  state.skipped_in_a_row, step, floor),
      loss_scale_
          ? "use precision.compute=bf16, or lower optimizer.lr; the last checkpoint is intact"
          : "lower optimizer.lr or set train.clip_norm; the last checkpoint is intact");
}

}  // namespace lockstep
