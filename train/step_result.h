// What became of one training step: the one set of numbers that a step's executor hands to the
// loop, and the loop to metrics.jsonl (metrics.h) and to the lines for people (run_lines.h).
#pragma once

#include <cstdint>
#include <optional>

#include "train/phases.h"

namespace lockstep {

// Equal on all ranks, but for times and memory, which are this rank's.
struct StepResult {
  int64_t step = 0;                // the step just done, from 1
  double loss = 0;                 // global Σsum / Σcount
  std::optional<double> accuracy;  // share of the predictions that hit, if the task counts them
  double next_lr = 0;              // learning rate of the next step
  bool updated = true;  // false: the gradients were not finite; nothing changed but `step`
  std::optional<double> next_loss_scale;  // of the next step, if the precision scales the loss
  double epoch = 0;                       // passes over the training data so far
  double lr = 0;                          // learning rate of this step
  double grad_norm = 0;                   // of the mean gradient, before clipping
  std::optional<double> loss_scale;       // that this step used
  bool stop = false;                      // some rank was asked to stop; all ranks agree
  int64_t samples = 0;                    // rows of the global batch

  double step_seconds = 0;
  double data_wait_seconds = 0;
  PhaseSeconds phases;                  // on a CPU …
  double comm_exposed_seconds = 0;      // … and its exchange after backward
  std::optional<DeviceSeconds> device;  // on a device, instead of these two
  int64_t memory_bytes = 0;  // a device: the most in tensors so far; a CPU: resident memory
};

}  // namespace lockstep
