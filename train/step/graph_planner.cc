// A fallback is for good: a step that could not be recorded once would fail again, and trying at
// every step would cost more than graphs save.
#include "train/step/graph_planner.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/errors.h"

namespace lockstep {

GraphPlanner::GraphPlanner(const GraphMode& mode) : insists_(mode.wanted == GraphUse::kOn) {
  off_ = mode.wanted == GraphUse::kOff;
  if (off_ || mode.obstacle.empty()) return;
  if (insists_)
    throw ConfigError("step.graph is on, and a step cannot be recorded here: " + mode.obstacle,
                      "set step.graph=auto");
  fall_back(mode.obstacle);
}

StepAction GraphPlanner::next(const std::string& shape) const {
  if (off_) return StepAction::kEager;
  const auto found = shapes_.find(shape);
  if (found == shapes_.end()) return StepAction::kEager;
  if (found->second.has_graph) return StepAction::kReplay;
  const bool ready = found->second.eager_steps >= kWarmUp && graphs_ < kMostGraphs;
  return ready ? StepAction::kRecord : StepAction::kEager;
}

bool GraphPlanner::checks(const std::string& shape) const {
  return checks_left_ > 0 && next(shape) != StepAction::kEager;
}

void GraphPlanner::ran_eagerly(const std::string& shape) { ++shapes_[shape].eager_steps; }

void GraphPlanner::recorded(const std::string& shape) {
  shapes_[shape].has_graph = true;
  ++graphs_;
  if (graphs_ == kMostGraphs)
    note_ = fmt::format(
        "step.graph: {} graphs are recorded; batches of further shapes run without one", graphs_);
}

void GraphPlanner::could_not_record(const std::string& shape, const std::string& operation,
                                    const std::string& reason) {
  shapes_[shape].has_graph = false;
  const std::string what = operation.empty() ? "a step" : operation;
  if (insists_)
    throw EnvironmentError(
        fmt::format("step.graph is on, and {} cannot be recorded in a graph: {}", what, reason),
        "set step.graph=auto, which goes on without a graph");
  fall_back(fmt::format("{} cannot be recorded in a graph ({})", what, reason));
}

void GraphPlanner::checked(double difference, double allowed) {
  largest_difference_ = std::max(largest_difference_, difference);
  if (!(difference <= allowed)) {  // also if it is no number
    const std::string fact =
        fmt::format("a replayed step differs from an eager one by {:.2g}, and {:.2g} is allowed",
                    difference, allowed);
    if (insists_)
      throw EnvironmentError("step.graph is on, and " + fact,
                             "set step.graph=off, and please report this");
    return fall_back(fact);
  }
  if (--checks_left_ == 0)
    note_ = fmt::format(
        "step.graph: the whole step replays as one graph; {} steps agree with eager ones to {:.2g}",
        kChecked, largest_difference_);
}

void GraphPlanner::fall_back(const std::string& why) {
  off_ = true;
  shapes_.clear();
  note_ = "step.graph: auto: " + why + "; continuing operation by operation";
}

std::string GraphPlanner::take_note() { return std::exchange(note_, {}); }

}  // namespace lockstep
