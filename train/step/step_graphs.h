// The graphs of a device's steps: one a shape of batch, recorded when the planner says so, checked
// against eager steps, and replayed.
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
  // True if the next step of this shape is done twice: what was queued before must be over.
  bool checks(const std::string& shape) const { return planner_.checks(shape); }
  // Does the step in the way that its shape's turn asks for. Throws EnvironmentError if step.graph
  // is on and cannot be, CommError.
  void run(const std::string& shape, const GraphedStep& step,
           const std::vector<LossInputs>& inputs);
  void tell_note();
  // Before the communicator that they use.
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
