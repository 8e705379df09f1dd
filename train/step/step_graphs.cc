// Ranks record, replay and fall back together: a rank that replayed while another ran eagerly would
// exchange gradients in another order. So each outcome is shared over the host's communicator.
#include "train/step/step_graphs.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/errors.h"
#include "core/log.h"
#include "core/text_lines.h"
#include "tensor/kept_values.h"
#include "tensor/range.h"
#include "train/step/operation_watch.h"

namespace lockstep {
namespace {

// How far a replayed step may be from an eager one, relative to the largest value: the order of
// additions in some kernels is not fixed.
double allowed_difference(Compute compute) { return compute == Compute::kFp32 ? 1e-4 : 2e-2; }

double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  const double size = b.abs().max().item<double>();
  const double difference = (a - b).abs().max().item<double>();
  return difference == 0 ? 0 : difference / std::max(size, 1e-30);
}

}  // namespace

StepGraphs::StepGraphs(Session& session, DeviceQueue& queue, DevicePhases& phases,
                       const std::string& obstacle)
    : session_(session),
      queue_(queue),
      phases_(phases),
      planner_({session.config().step.graph, obstacle}) {}

void StepGraphs::run(const std::string& shape, const GraphedStep& step,
                     const std::vector<LossInputs>& inputs) {
  StepAction action = planner_.next(shape);
  if (action == StepAction::kRecord && !record(shape, step, inputs)) action = StepAction::kEager;
  if (action == StepAction::kEager) {
    step.compute(inputs);
    planner_.ran_eagerly(shape);
  } else if (planner_.checks(shape)) {
    phases_.give_up();
    compare_replay(shape, step, inputs);
  } else {
    const PhaseRange range("graph");
    phases_.enter(DevicePhase::kGraph);
    graphs_.at(shape)->replay(queue_);
  }
  tell_note();
}

// False if this rank or another one could not: then all go on eagerly.
bool StepGraphs::record(const std::string& shape, const GraphedStep& step,
                        const std::vector<LossInputs>& inputs) {
  phases_.give_up();
  auto graph = session_.device().make_graph();
  std::string operation, reason;
  {
    const OperationWatch watch;
    try {
      graph->record(queue_, [this, compute = step.compute, inputs] {
        const DevicePhases::Silence silence(phases_);
        compute(inputs);
      });
    } catch (const CommError&) {
      throw;
    } catch (const std::exception& error) {
      operation = watch.last();
      reason = first_line(error.what());
    }
  }
  const bool recorded = all_ranks(reason.empty(), "whether the step could be recorded");
  if (recorded) {
    graphs_[shape] = std::move(graph);
    planner_.recorded(shape);
    return true;
  }
  graph.reset();
  graphs_.clear();
  planner_.could_not_record(shape, operation,
                            reason.empty() ? "another rank could not record it" : reason);
  return false;
}

// The same step twice from the same state: eagerly, then by the graph, which counts.
void StepGraphs::compare_replay(const std::string& shape, const GraphedStep& step,
                                const std::vector<LossInputs>& inputs) {
  std::optional<KeptValues> before;
  at::Tensor weights, loss, norm, updated;  // of the eager step
  queue_.run([&] { before.emplace(step.state()); });
  step.compute(inputs);
  queue_.run([&] {
    weights = step.weights.clone();
    loss = step.loss.clone();
    norm = step.norm.clone();
    updated = step.updated.clone();
    before->put_back();
  });
  graphs_.at(shape)->replay(queue_);
  double difference = 0;
  queue_.run([&] {
    difference =
        std::max({relative_difference(step.weights, weights), relative_difference(step.loss, loss),
                  relative_difference(step.norm, norm)});
    const bool both_skipped = step.updated.item<double>() == 0 && updated.item<double>() == 0;
    if (both_skipped) difference = 0;  // not a number, twice
  });
  const double allowed = allowed_difference(session_.config().precision.compute);
  const bool agree = all_ranks(difference <= allowed, "whether the graph agrees");
  if (!agree) graphs_.clear();
  planner_.checked(agree || difference > allowed ? difference : allowed * 2, allowed);
}

bool StepGraphs::all_ranks(bool mine, const std::string& what) {
  Communicator& host = session_.communicator();
  if (host.size() == 1) return mine;
  std::vector<char> all(static_cast<size_t>(host.size()));
  const char own = mine ? 1 : 0;
  host.all_gather(&own, all.data(), 1, what);
  return std::all_of(all.begin(), all.end(), [](char one) { return one != 0; });
}

void StepGraphs::tell_note() {
  const std::string note = planner_.take_note();
  if (!note.empty() && session_.is_first()) log_info(note);
}

}  // namespace lockstep
