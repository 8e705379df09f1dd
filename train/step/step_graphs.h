// Records, checks and replays the graphs of a device's steps. Each shape of batch has one; the
// planner says when (graph_planner.h).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "train/session.h"
#include "train/step/device_phases.h"
#include "train/step/graph_planner.h"

namespace lockstep {

// A step as graphs see it.
struct GraphedStep {
  // Queues it, without waiting for the host; the inputs lie at fixed places.
  std::function<void(const std::vector<LossInputs>& inputs)> compute;
  std::function<std::vector<at::Tensor>()> state;  // all that a step changes and the next one reads
  at::Tensor weights, loss, norm, updated;  // what is compared; updated: 0 if the step was skipped
};

// One per rank; all ranks make the same calls. `queue` and `phases` outlive it.
class StepGraphs {
 public:
  // Throws ConfigError if step.graph is on and `obstacle` is not empty.
  StepGraphs(Session& session, DeviceQueue& queue, DevicePhases& phases,
             const std::string& obstacle);

  // False once nothing will be recorded any more.
  bool allowed() const { return !planner_.off(); }
  // True if the next step of this shape runs twice for a comparison. Finish the pending updates
  // first.
  bool checks(const std::string& shape) const { return planner_.checks(shape); }
  // Runs the step eagerly, records it or replays it, as the planner says. Throws EnvironmentError
  // if step.graph is on and the step cannot be recorded, CommError.
  void run(const std::string& shape, const GraphedStep& step,
           const std::vector<LossInputs>& inputs);
  void tell_note();
  // Call before the communicator goes: graphs use it.
  void clear() { graphs_.clear(); }

 private:
  bool record(const std::string& shape, const GraphedStep& step,
              const std::vector<LossInputs>& inputs);
  void compare_replay(const std::string& shape, const GraphedStep& step,
                      const std::vector<LossInputs>& inputs);
  bool all_ranks(bool mine, const std::string& what);

  Session& session_;
  DeviceQueue& queue_;
  DevicePhases& phases_;
  GraphPlanner planner_;
  std::map<std::string, std::unique_ptr<DeviceGraph>> graphs_;
};

}  // namespace lockstep
