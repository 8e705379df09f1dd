// Runs the steps of a training. The rules of a step are in step_rules.h; there are two executors:
//
//     host     slots on threads, gradients exchanged while backward runs (host_executor.cc)
//     device   everything queued without waiting, recorded as one graph where possible
//              (device_executor.cc)
//
// The host's result is there when run() returns. A device's results come one or two steps later,
// in order; every rank gets the same result from the same call, so that all agree on when to stop.
#pragma once

#include <memory>
#include <vector>

#include "train/session.h"
#include "train/step_result.h"

namespace lockstep {

class StepExecutor {
 public:
  virtual ~StepExecutor() = default;
  // Collective. Runs or queues step session.state().step and advances the state; returns the
  // results that have come back. Throws NumericError if too many steps in a row had no finite
  // gradient, EnvironmentError if a device's memory is not enough, CommError.
  virtual std::vector<StepResult> run() = 0;
  // Collective. Waits for all queued steps and returns their results; afterwards weights and state
  // are those after the last of them.
  virtual std::vector<StepResult> finish() = 0;
};

// The executor for the session's device. Its loaders start reading at session.state().step. The
// session outlives it.
std::unique_ptr<StepExecutor> make_executor(Session& session);

// One of them, whatever the session's device is: tests run the device's on a CPU.
std::unique_ptr<StepExecutor> make_host_executor(Session& session);
std::unique_ptr<StepExecutor> make_device_executor(Session& session);

}  // namespace lockstep
