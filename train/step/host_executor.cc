// A step on the host. The slots of a rank run on its slot threads, one replica of the model each;
// gradients and totals are added over slots and ranks by one fixed tree, so that any number of
// ranks and threads gives the same bits.
#include <ATen/ATen.h>

#include <cmath>

#include "core/stop_flag.h"
#include "ddp/slot_threads.h"
#include "optim/host_update.h"
#include "train/precision.h"
#include "train/step/step_executor.h"
#include "train/step/step_rules.h"

namespace lockstep {
namespace {

std::vector<std::vector<at::Tensor>> parameters_of_all(const std::vector<Model*>& replicas) {
  std::vector<std::vector<at::Tensor>> out;
  for (const Model* replica : replicas) {
    out.emplace_back();
    for (const NamedTensor& entry : replica->parameters()) out.back().push_back(entry.tensor);
  }
  return out;
}

class HostExecutor final : public StepExecutor {
 public:
  explicit HostExecutor(Session& session);
  std::vector<StepResult> run() override;
  std::vector<StepResult> finish() override { return {}; }  // no step is ever on its way

 private:
  StepTotals run_slots();
  StepTotals run_slot(int thread, int64_t slot);
  void add_times(StepResult& result, double exchange_seconds);

  Session& session_;
  const StepRules rules_;
  const std::vector<Model*> replicas_;  // one a slot thread
  TreeReduction totals_tree_;
  std::vector<std::unique_ptr<Loader>> loaders_;  // one a slot thread
  SlotThreads threads_;
  GradientSync sync_;
  HostUpdate update_;
  double waited_before_ = 0;          // of all loaders, before this step
  std::vector<PhaseSeconds> phases_;  // of this step, one a slot thread
};

HostExecutor::HostExecutor(Session& session)
    : session_(session),
      rules_(session),
      replicas_(session.replicas()),
      totals_tree_(session.communicator(), session.plan().slots),
      threads_(static_cast<int>(session.plan().threads_per_rank)),
      sync_(session.communicator(), session.layout(), parameters_of_all(replicas_),
            rules_.exchange()),
      update_(rules_.update_setup(sync_.gradients()), &session.communicator()) {
  const SlotRange here = rules_.slots();
  for (int thread = 0; thread < threads_.count(); ++thread) {
    const SlotRange mine = slots_of_thread(here.count(), threads_.count(), thread);
    loaders_.push_back(
        rules_.make_loader({here.begin + mine.begin, here.begin + mine.end}, threads_.count()));
  }
}

std::vector<StepResult> HostExecutor::run() {
  TrainState& state = session_.state();
  const int64_t step = state.step;
  const StepTotals totals = run_slots();
  double update_seconds = 0;
  UpdateOutcome outcome;
  {
    const PhaseScope phase("update", update_seconds);
    outcome = update_.run(rules_.planned(step, session_.optimizer().updates()), totals.count,
                          totals.non_finite == 0);
  }
  state.step += 1;
  StepResult result = rules_.conclude(step, totals, outcome);
  result.phases.update = update_seconds - outcome.exchange_seconds;
  add_times(result, outcome.exchange_seconds);
  return {result};
}

// Forward and backward of this rank's slots, and the exchange; the totals over all ranks.
StepTotals HostExecutor::run_slots() {
  const int64_t slots = rules_.slots().count();
  std::vector<StepTotals> totals(static_cast<size_t>(slots));
  phases_.assign(static_cast<size_t>(threads_.count()), {});
  sync_.begin_step();
  threads_.run(slots, [&](int thread, int64_t slot) { totals[slot] = run_slot(thread, slot); });
  sync_.finish();
  // The wish to stop rides on the same message, so that all ranks stop after the same step.
  totals.front().stop = stop_requested() ? 1 : 0;
  return sum_totals(totals_tree_, totals);
}

// One slot on a slot thread: its gradients end up in its arena, its totals are returned.
StepTotals HostExecutor::run_slot(int thread, int64_t slot) {
  const int64_t micro_batches = session_.plan().micro_batches_per_slot;
  const StepContext context = rules_.context(session_.state().step);
  const double factor = update_.loss_scale() / rules_.backward_constant();
  StepTotals totals;
  sync_.begin_slot(thread, slot);
  for (int64_t micro = 0; micro < micro_batches; ++micro) {
    const Batch batch = rules_.next_micro_batch(*loaders_[thread]);
    Loss loss;
    {
      const PhaseScope phase("forward", phases_[thread].forward);
      const AutocastGuard autocast(session_.config().precision.compute);
      loss = session_.task().loss(*replicas_[thread], batch, context);
    }
    const double sum = loss.sum.item<double>();
    totals.loss_sum += sum;
    totals.count += loss.count;
    totals.correct += loss.correct;
    totals.guesses += loss.guesses;
    if (!std::isfinite(sum)) totals.non_finite = 1;
    sync_.begin_micro_batch(thread, micro + 1 == micro_batches);
    const PhaseScope phase("backward", phases_[thread].backward);
    if (loss.sum.requires_grad()) loss.sum.mul(factor).backward();
  }
  sync_.end_slot(thread);
  return totals;
}

// Slot threads and loaders run side by side, so their times are means.
void HostExecutor::add_times(StepResult& result, double exchange_seconds) {
  for (const PhaseSeconds& thread : phases_) {
    result.phases.forward += thread.forward / threads_.count();
    result.phases.backward += thread.backward / threads_.count();
  }
  double waited = 0;
  for (const auto& loader : loaders_)
    waited += loader->waited_seconds() / static_cast<double>(loaders_.size());
  result.data_wait_seconds = waited - waited_before_;
  waited_before_ = waited;
  result.comm_exposed_seconds = sync_.stats().exposed_seconds + exchange_seconds;
}

}  // namespace

std::unique_ptr<StepExecutor> make_host_executor(Session& session) {
  return std::make_unique<HostExecutor>(session);
}

std::unique_ptr<StepExecutor> make_executor(Session& session) {
  return session.device().is_cpu() ? make_host_executor(session) : make_device_executor(session);
}

}  // namespace lockstep
