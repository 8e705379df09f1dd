// A kind of training: data → model → loss → samples → scores.
//
// The training loop knows only this interface (design.md 2); `tasks.h` has the table of kinds.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "models/model.h"
#include "tasks/evaluation.h"
#include "tasks/sample_request.h"

namespace lockstep {

// Where a micro-batch stands: everything a loss may use for randomness besides sample ids.
struct StepContext {
  uint64_t seed = 0;  // run.seed
  int64_t step = 0;   // 0-based step that is being computed
  // Above 0: tensors whose length differs from batch to batch are padded to one of so many lengths,
  // so that a GPU can replay a recorded step. Padding counts nothing. 0 on a CPU.
  int64_t few_shapes = 0;
};

// Loss of a micro-batch as a sum and a count (design rule 6): the step divides once, after all
// slots and ranks are added up.
struct Loss {
  at::Tensor sum;    // float32 scalar with a graph
  double count = 0;  // what `sum` is to be divided by
  // Predictions of this micro-batch that hit, of how many; guesses = 0: this task counts none.
  double correct = 0, guesses = 0;
};

// What the loss of a micro-batch is computed from: everything that is read, drawn or looked up on
// the host, as tensors. The rest of the loss then runs where the model lies, without the host.
struct LossInputs {
  std::map<std::string, at::Tensor> tensors;  // made on the CPU; contiguous
  double count = 0, guesses = 0;              // as in Loss

  const at::Tensor& at(const std::string& name) const { return tensors.at(name); }
};

// The loss as tensors of the model's device.
struct LossTensors {
  at::Tensor sum;      // float32 scalar with a graph
  at::Tensor correct;  // scalar; undefined: this task counts no predictions
};

class Task {
 public:
  virtual ~Task() = default;

  // A new model with initial weights from one generator seeded with `seed` (same on all ranks).
  virtual std::unique_ptr<Model> make_model(uint64_t seed) const = 0;
  // For a new run, after make_model and before `init`: takes what the task's options name from
  // files, the same on all ranks. Throws ConfigError or DataError for a file that does not fit.
  virtual void initialise(Model& model) const {}
  // Throws DataError if `dataset` lacks what the loss needs.
  virtual void check(const Dataset& dataset) const = 0;
  // Called from slot threads at once, each with its own replica. Deterministic in (weights, batch,
  // context). Rows with id −1 are padding and count nothing. A task gives its loss in two halves,
  // below, or, if it computes on CPUs alone, overrides this.
  virtual Loss loss(Model& model, const Batch& batch, const StepContext& context) const;
  // The host's half. Any thread. By default an EnvironmentError: this task has no halves.
  virtual LossInputs loss_inputs(const Batch& batch, const StepContext& context) const;
  // The device's half: reads no tensor's values on the host and draws nothing, so that it can be
  // recorded.
  virtual LossTensors loss_tensors(Model& model, const LossInputs& inputs) const;
  // Nominal count of a micro-batch of `rows` rows (a plan constant, design rule 6).
  virtual double nominal_count(int64_t rows) const = 0;
  // The evaluation that an entry of the `evaluate` list asks for. Throws ConfigError if the kind
  // needs data that the config does not name, and any Error that its options' files cause.
  virtual std::unique_ptr<Evaluation> evaluation(const Choice& options, const EvaluationData& data,
                                                 const StepContext& context) const = 0;
  // `lockstep forward`: named inputs → named outputs (design.md 5), in evaluation mode. "loss" is
  // among the outputs if the inputs define one; gradients are the caller's business.
  virtual NamedTensors forward(Model& model, const NamedTensors& inputs) const = 0;
  // The flags of `lockstep sample` that sample() understands.
  virtual std::vector<SampleFlag> sample_flags() const { return {}; }
  // `lockstep sample`: draws from the model, or completes what the user gave. `model` is one of
  // those that request.for_each hands out. Throws DataError for an input that does not fit,
  // ConfigError for a request this task does not know.
  virtual void sample(Model& model, const SampleRequest& request) const = 0;
};

// A task with a diffusion schedule, besides Task: what `lockstep export schedule` writes.
class DiffusionTask {
 public:
  virtual ~DiffusionTask() = default;
  // The constants of the schedule, by upstream's names.
  virtual NamedTensors schedule_tables() const = 0;
};

}  // namespace lockstep
