#include "tasks/task.h"

#include <ATen/ATen.h>

#include "core/errors.h"

namespace lockstep {

Loss Task::loss(Model& model, const Batch& batch, const StepContext& context) const {
  const LossInputs inputs = loss_inputs(batch, context);
  const LossTensors tensors = loss_tensors(model, inputs);
  Loss loss;
  loss.sum = tensors.sum;
  loss.count = inputs.count;
  loss.guesses = inputs.guesses;
  if (tensors.correct.defined()) loss.correct = tensors.correct.item<double>();
  return loss;
}

LossInputs Task::loss_inputs(const Batch&, const StepContext&) const {
  throw EnvironmentError("this task computes on CPUs alone", "set run.device=cpu");
}

LossTensors Task::loss_tensors(Model&, const LossInputs&) const {
  throw EnvironmentError("this task computes on CPUs alone", "set run.device=cpu");
}

}  // namespace lockstep
