#include "train/step/step.h"

#include <chrono>
#include <cmath>

#include <ATen/ATen.h>

#include "core/errors.h"
#include "core/stop_flag.h"
#include "data/loader.h"
#include "data/sample_order.h"
#include "ddp/gradient_sync.h"
#include "ddp/slot_threads.h"
#include "ddp/tree.h"
#include "optim/clip.h"
#include "optim/loss_scale.h"
#include "train/precision.h"
#include "train/step/step_parts.h"

namespace lockstep {
namespace {

GradientSyncOptions sync_options(const RunPlan& plan, const DdpOptions& ddp,
                                 const ShardLayout& shard) {
  GradientSyncOptions options;
  options.num_slots = plan.slots;
  options.tree = plan.reduce == "tree";
  options.overlap = ddp.overlap;
  options.bucket_bytes = ddp.bucket_megabytes << 20;
  options.first_bucket_bytes = std::min(options.bucket_bytes, options.first_bucket_bytes);
  options.shard = shard;
  return options;
}

std::vector<std::vector<at::Tensor>> parameters_of(const std::vector<Model*>& replicas) {
  std::vector<std::vector<at::Tensor>> out;
  for (const Model* replica : replicas) {
    out.emplace_back();
    for (const NamedTensor& entry : replica->parameters()) out.back().push_back(entry.tensor);
  }
  return out;
}

}  // namespace

struct TrainingStep::Parts {
  Session& session;
  const RunPlan& plan;
  std::vector<Model*> replicas;
  SampleOrder order;
  double scale;  // C
  std::optional<LossScale> loss_scale;
  std::unique_ptr<Schedule> schedule;
  std::vector<std::unique_ptr<Loader>> loaders;  // one per slot thread
  TreeReduction totals_tree;
  SlotThreads threads;
  GradientSync sync;
  double waited_before = 0;
  std::vector<PhaseSeconds> phases;  // of this step, one a slot thread
  double gather_seconds = 0;         // of the last step: weights from their owners

  explicit Parts(Session& s)
      : session(s),
        plan(s.plan()),
        replicas(s.replicas()),
        order(s.train_data().size(), static_cast<uint64_t>(s.config().run.seed)),
        scale(backward_constant(s)),
        schedule(s.kinds().schedules.make(s.config().schedule)),
        totals_tree(s.communicator(), s.plan().slots),
        threads(static_cast<int>(s.plan().threads_per_rank)),
        sync(s.communicator(), s.layout(), parameters_of(replicas),
             sync_options(s.plan(), s.config().ddp, s.shard())) {
    if (precision_of(s.config().precision.compute).scales_loss()) {
      loss_scale.emplace(s.config().precision.loss_scale);
      if (s.state().step > 0) loss_scale->load(s.state().loss_scale);
      s.state().loss_scale = loss_scale->state();
    }
    for (int thread = 0; thread < threads.count(); ++thread) loaders.push_back(make_loader(thread));
  }

  std::unique_ptr<Loader> make_loader(int thread) {
    const SlotRange local = totals_tree.local();
    const SlotRange mine = slots_of_thread(local.count(), threads.count(), thread);
    return make_slot_loader(session, order, {local.begin + mine.begin, local.begin + mine.end},
                            threads.count());
  }

  // Forward and backward of one slot: its gradients end up in its arena, its totals are returned.
  StepTotals run_slot(int thread, int64_t slot) {
    const StepContext context{static_cast<uint64_t>(session.config().run.seed),
                              session.state().step};
    StepTotals totals;
    sync.begin_slot(thread, slot);
    for (int64_t micro = 0; micro < plan.micro_batches_per_slot; ++micro) {
      const Batch batch = loaders[thread]->next();
      if (batch.rows() != plan.micro_batch)
        throw InternalError("the loader ended before the training");
      Loss loss;
      {
        const PhaseScope phase("forward", phases[thread].forward);
        const AutocastGuard autocast(session.config().precision.compute);
        loss = session.task().loss(*replicas[thread], batch, context);
      }
      const double sum = loss.sum.item<double>();
      totals.loss_sum += sum;
      totals.count += loss.count;
      totals.correct += loss.correct;
      totals.guesses += loss.guesses;
      if (!std::isfinite(sum)) totals.non_finite = 1;
      sync.begin_micro_batch(thread, micro + 1 == plan.micro_batches_per_slot);
      const PhaseScope phase("backward", phases[thread].backward);
      if (loss.sum.requires_grad()) loss.sum.mul(backward_scale() / scale).backward();
    }
    sync.end_slot(thread);
    return totals;
  }

  double backward_scale() const { return loss_scale ? loss_scale->value() : 1; }

  double waited() const {
    double sum = 0;
    for (const auto& loader : loaders) sum += loader->waited_seconds();
    return sum / static_cast<double>(loaders.size());
  }

  SchedulePosition schedule_position() const {
    return lockstep::schedule_position(session, order, session.state().step,
                                       session.optimizer().updates());
  }

  // Clip, update, EMA. False if the gradients are not finite: then nothing changes.
  bool update(const StepTotals& totals, StepResult& result) {
    const PhaseScope phase("update", result.phases.update);
    UpdateTerms terms;
    // One multiplication brings the sum to the mean, computed in double and rounded once.
    terms.gradient.multiplier =
        static_cast<float>(totals.count > 0 ? scale / (totals.count * backward_scale()) : 0.0);
    result.grad_norm = gradient_norm(sync.gradients(), terms.gradient.multiplier, session.shard(),
                                     session.communicator());
    if (totals.non_finite > 0 || !std::isfinite(result.grad_norm)) return false;
    const double clip_norm = session.config().train.clip_norm;
    if (clip_norm > 0) terms.gradient.clip = clip_coefficient(result.grad_norm, clip_norm);
    terms.lr = result.lr;
    if (session.has_ema())
      terms.ema_move = ema_move(session.config().train.ema, session.optimizer().updates());
    if (session.shard().whole()) {
      if (session.has_ema()) terms.ema = &session.ema();
      session.optimizer().step(session.weights(), sync.gradients(), terms);
    } else {
      update_share(terms);
    }
    session.refresh_low_precision_weights();
    return true;
  }

  // Each rank updates the weights of its blocks and gets the others'. Every rank has the whole EMA
  // and moves it by itself: one pass over memory costs less than sending it.
  void update_share(const UpdateTerms& terms) {
    session.optimizer().step(session.weights(), sync.gradients(), terms);
    const auto start = std::chrono::steady_clock::now();
    all_gather_blocks(session.communicator(), session.shard(), session.weights());
    gather_seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (terms.ema_move) move_average(session.ema(), session.weights(), *terms.ema_move);
  }
};

TrainingStep::TrainingStep(Session& session) : parts_(std::make_unique<Parts>(session)) {}
TrainingStep::~TrainingStep() = default;

StepResult TrainingStep::run() {
  Parts& p = *parts_;
  TrainState& state = p.session.state();
  const int64_t local_slots = p.totals_tree.local().count();
  std::vector<StepTotals> totals(local_slots);

  p.phases.assign(p.threads.count(), {});
  p.gather_seconds = 0;
  p.sync.begin_step();
  p.threads.run(local_slots,
                [&](int thread, int64_t slot) { totals[slot] = p.run_slot(thread, slot); });
  p.sync.finish();
  // The wish to stop rides on the same message, so that all ranks stop after the same step.
  totals.front().stop = stop_requested() ? 1 : 0;
  const StepTotals sum = sum_totals(p.totals_tree, totals);

  StepResult result;
  result.loss = sum.count > 0 ? sum.loss_sum / sum.count : 0;
  if (sum.guesses > 0) result.accuracy = sum.correct / sum.guesses;
  result.lr = p.schedule->rate(p.session.optimizer().lr(), p.schedule_position());
  result.updated = p.update(sum, result);
  if (p.loss_scale) {
    result.loss_scale = p.loss_scale->value();
    p.loss_scale->update(result.updated);
    state.loss_scale = p.loss_scale->state();
  }
  result.stop = sum.stop > 0;
  state.step += 1;
  result.step = state.step;
  result.next_lr = p.schedule->rate(p.session.optimizer().lr(), p.schedule_position());
  state.updates = p.session.optimizer().updates();
  state.skipped_in_a_row = result.updated ? 0 : state.skipped_in_a_row + 1;
  check_skips(p.session, state.step);
  const double waited = p.waited();
  result.data_wait_seconds = waited - p.waited_before;
  p.waited_before = waited;
  for (const PhaseSeconds& thread : p.phases) {
    result.phases.forward += thread.forward / p.threads.count();
    result.phases.backward += thread.backward / p.threads.count();
  }
  result.comm_exposed_seconds = p.sync.stats().exposed_seconds + p.gather_seconds;
  result.phases.update -= p.gather_seconds;
  return result;
}

}  // namespace lockstep
