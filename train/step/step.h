// One training step on this rank: slots → backward → exchange → clip → update → EMA.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "train/phases.h"
#include "train/session.h"

namespace lockstep {

// What a step tells the loop; equal on all ranks except the times.
struct StepResult {
  int64_t step = 0;  // that was done, from 1
  double loss = 0;   // global Σsum / Σcount
  std::optional<double>
      accuracy;          // share of this step's predictions that hit, if the task counts them
  double grad_norm = 0;  // before clipping
  double lr = 0;         // of this step
  double next_lr = 0;    // of the next one
  bool updated = true;   // false: gradients were not finite, nothing changed but `step`
  std::optional<double> loss_scale;  // that the step used, if the precision has one
  bool stop = false;                 // some rank was asked to stop; agreed by all
  double data_wait_seconds = 0;      // of this rank
  PhaseSeconds phases;
  std::optional<DeviceSeconds>
      device;  // where a device keeps times; then phases and exchange are there
  std::optional<int64_t> device_bytes;  // the most in tensors so far, where a device counts them
  double comm_exposed_seconds = 0;  // exchange after backward (and of sharded weights), this rank
};

class TrainingStep {
 public:
  // Loaders start reading at session.state().step.
  explicit TrainingStep(Session& session);
  ~TrainingStep();

  // Collective. Runs step `session.state().step` and advances the state. Throws NumericError if
  // too many steps in a row had no finite gradient; under loss scaling those at the smallest scale
  // count.
  StepResult run();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace lockstep
