// A kind of training: data → model → loss → samples → scores.
//
// The training loop knows only this interface (design.md 2); `tasks.h` has the table of kinds.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/config/fields.h"
#include "data/dataset.h"
#include "models/model.h"

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

// Names and values: "validation_loss", "solve_rate.easy" …
using Scores = std::map<std::string, double>;
inline std::vector<std::string> names_of(const Scores& scores) {
  std::vector<std::string> names;
  for (const auto& [name, value] : scores) names.push_back(name);
  return names;
}

// One piece of an evaluation, computed by whichever rank owns it; merged in order of chunks.
struct EvaluationChunk {
  std::vector<double> sums;  // added up by Tree over chunks, in double, as chunks are done
  std::vector<at::Tensor>
      tensors;  // few and small: what pictures are drawn from (gathered on rank 0's host)
  // In place of sums, of a chunk that a device computed: f64 [n] there, added up there. All chunks
  // of a rank or none.
  at::Tensor device_sums;
};

// An evaluation that can be shared out over ranks: chunk i is a pure function of (weights, i).
// Made per evaluation run by Task::evaluation; runs under no-grad on one replica per thread.
class Evaluation {
 public:
  virtual ~Evaluation() = default;
  // The names that scores() will give, known before anything is computed: checkpoint.keep_best is
  // checked against them. Empty for an evaluation that only draws.
  virtual std::vector<std::string> score_names() const = 0;
  virtual int64_t num_chunks() const = 0;
  // Before the first chunk: where the models lie, so that what else computes can be brought there.
  // One thread.
  virtual void compute_on(at::Device device) {}
  // Any thread. A chunk that takes seconds calls piece_done() now and then, pieces() times in all.
  virtual EvaluationChunk chunk(Model& model, int64_t index) const = 0;
  virtual int64_t pieces() const { return 0; }
  // On rank 0, with the sums of all chunks. May take long: no other rank waits with a deadline.
  virtual Scores scores(const std::vector<double>& sums) const = 0;
  // The same with the tensors of all chunks, in chunk order (their sums are merged and gone).
  virtual Scores scores(const std::vector<double>& sums,
                        const std::vector<EvaluationChunk>& chunks) const {
    return scores(sums);
  }
  // Draws samples/step-N.png if this evaluation has something to show; false otherwise.
  virtual bool draw(const std::vector<EvaluationChunk>& chunks, const std::string& png_path) const {
    return false;
  }

  // What the scores depend on besides the weights, stored beside them: names and values.
  virtual std::map<std::string, std::string> record() const { return {}; }
  // What people should know before they believe the scores; said once, before training.
  virtual std::vector<std::string> notes() const { return {}; }

  // What must be computed first, on all ranks as well, unless rank 0 has it from an earlier
  // evaluation: statistics of reference pictures. Null: nothing.
  virtual Evaluation* reference() { return nullptr; }
  // Rank 0: looks for what is kept; true if nothing is left to do. May read large files.
  virtual bool find_reference() { return false; }
  // Rank 0: what reference() gave.
  virtual void take_reference(const std::vector<double>& sums,
                              const std::vector<EvaluationChunk>& chunks) {}

  // `heard` is called by piece_done(), from any thread; it may throw to give up the chunk.
  void on_piece(std::function<void()> heard) { heard_ = std::move(heard); }

 protected:
  void piece_done() const {
    if (heard_) heard_();
  }

 private:
  std::function<void()> heard_;
};

// What evaluations are made from, besides the model. Outlives them.
struct EvaluationData {
  EvaluationData(const Dataset* validation, std::function<const Dataset&()> train = {})
      : validation(validation), train(std::move(train)) {}
  const Dataset* validation;  // data.validation; null if the config names none
  std::function<const Dataset&()>
      train;  // data.train, opened when it is asked for; empty if there is none
};

// A flag of `lockstep sample` that a task understands, beside the common ones of SampleRequest.
struct SampleFlag {
  std::string name;  // with dashes
  bool has_value = false;
};

// What `lockstep sample RUN …` asks for.
struct SampleRequest {
  std::string output;  // --output: a file or folder; "" = none
  int64_t count = 8;   // --count: samples to draw
  uint64_t seed = 17;
  Choice sampler;  // the config's `sampler` section
  // How the pictures of data.train were made: `recipe` of its dataset.json, "" if it is not there.
  // May be empty.
  std::function<std::string()> recipe;
  std::map<std::string, std::string> flags;        // of Task::sample_flags(), as given
  std::function<void(const std::string&)> result;  // called with each line for stdout, in order
  // Runs work(model, i) for i in [0, n) on the command's threads, each with a replica of its own,
  // gradients off and precision.compute in force; returns when all are done.
  using Work = std::function<void(Model& model, int64_t i)>;
  std::function<void(int64_t n, const Work& work)> for_each;

  bool has(const std::string& flag) const { return flags.contains(flag); }
  // The flag's value, or "".
  std::string value(const std::string& flag) const {
    return has(flag) ? flags.at(flag) : std::string();
  }
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
  // needs data that the config does not name, and what the files that its options name give rise
  // to.
  virtual std::unique_ptr<Evaluation> evaluation(const Choice& options, const EvaluationData& data,
                                                 const StepContext& context) const = 0;
  // `lockstep forward`: named inputs → named outputs (design.md 5), in evaluation mode. "loss" is
  // among the outputs if the inputs define one; gradients are the caller's business.
  virtual NamedTensors forward(Model& model, const NamedTensors& inputs) const = 0;
  // `lockstep export schedule`: the constants of this task's diffusion, by upstream's names. Throws
  // ConfigError if it has none.
  virtual NamedTensors schedule_tables() const {
    throw ConfigError("task.kind names a task without a diffusion schedule",
                      "set task.kind=image_diffusion");
  }
  // The flags of `lockstep sample` that sample() understands.
  virtual std::vector<SampleFlag> sample_flags() const { return {}; }
  // `lockstep sample`: draws from the model, or completes what the user gave. `model` is one of
  // those that request.for_each hands out. Throws DataError for an input that does not fit,
  // ConfigError for a request this task does not know.
  virtual void sample(Model& model, const SampleRequest& request) const = 0;
};

}  // namespace lockstep
