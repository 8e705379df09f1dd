#include "train/step/step_parts.h"

#include <cmath>

#include <fmt/format.h>

#include "core/errors.h"
#include "optim/loss_scale.h"

namespace lockstep {
namespace {

// So many steps in a row without a finite gradient end the run: the numbers broke.
constexpr int64_t kMaxSkippedInARow = 10;

}  // namespace

double backward_constant(const Session& session) {
  const double count = session.task().nominal_count(session.plan().micro_batch);
  return std::exp2(std::ceil(std::log2(std::max(count, 1.0))));
}

std::unique_ptr<Loader> make_slot_loader(Session& session, const SampleOrder& order,
                                         SlotRange slots, int sharing) {
  const int64_t a_step = slots.count() * session.plan().micro_batches_per_slot;
  const auto indices = [plan = session.plan(), first_slot = slots.begin, a_step](int64_t n) {
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
  options.threads = static_cast<int>(std::max<int64_t>(1, session.plan().data_threads / sharing));
  options.prefetch_batches = static_cast<int>(session.config().data.prefetch_batches);
  return std::make_unique<Loader>(
      session.train_data(), [&order](int64_t index) { return order.id(index); }, indices,
      session.state().step * a_step, options);
}

SchedulePosition schedule_position(const Session& session, const SampleOrder& order, int64_t step,
                                   int64_t updates) {
  SchedulePosition position;
  position.updates = updates;
  position.total_updates = session.plan().steps;
  position.epoch = order.epoch(step * session.plan().global_batch);
  const auto& epochs = session.config().train.epochs;
  if (epochs) position.epochs = static_cast<int64_t>(std::ceil(*epochs));
  return position;
}

void check_skips(Session& session, int64_t step) {
  const TrainState& state = session.state();
  const bool scales = precision_of(session.config().precision.compute).scales_loss();
  const LossScaleOptions& options = session.config().precision.loss_scale;
  const int64_t most = scales ? options.most_skips : kMaxSkippedInARow;
  LossScale scale(options);
  if (scales) scale.load(state.loss_scale);
  if (state.skipped_in_a_row < most || (scales && !scale.at_floor())) return;
  throw NumericError(
      fmt::format(
          "the gradients of {} steps in a row were not finite, up to step {}{}",
          state.skipped_in_a_row, step,
          scales ? fmt::format(", and the loss scale is at its floor of {}", scale.value()) : ""),
      scales ? "use precision.compute=bf16, or lower optimizer.lr; the last checkpoint is intact"
             : "lower optimizer.lr or set train.clip_norm; the last checkpoint is intact");
}

}  // namespace lockstep
