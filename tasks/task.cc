#include "tasks/task.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "core/errors.h"

namespace lockstep {

std::vector<ScoreInfo> declare(const Scores& scores, const std::vector<std::string>& smaller) {
  std::vector<ScoreInfo> out;
  for (const auto& [name, value] : scores) {
    const std::string group = name.substr(0, name.find('.'));
    const bool small = std::find(smaller.begin(), smaller.end(), name) != smaller.end() ||
                       std::find(smaller.begin(), smaller.end(), group) != smaller.end();
    out.push_back({name, small});
  }
  return out;
}

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
