// Runs the steps of a training, on the host or on a device, behind one face.
//
// On a CPU a step's result is there when the step returns. On a GPU the host goes on as soon as the
// step is queued, so results come back a step or two later, in order; every rank sees the same
// result at the same call, so that all agree on when to stop.
#pragma once

#include <memory>
#include <vector>

#include "train/step/step.h"

namespace lockstep {

class Steps {
 public:
  virtual ~Steps() = default;
  // Collective. Runs or queues step session.state().step and advances it; the results that have
  // come back.
  virtual std::vector<StepResult> run() = 0;
  // Collective. Waits for all queued steps; afterwards weights and state are those after the last
  // of them.
  virtual std::vector<StepResult> finish() = 0;
};

// For the session's device. Loaders start reading at session.state().step.
std::unique_ptr<Steps> make_steps(Session& session);

// The device's kind, whatever the session's device is (tests run it on a CPU).
std::unique_ptr<Steps> make_device_steps(Session& session);

}  // namespace lockstep
