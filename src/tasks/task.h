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

#include "core/fields.h"
#include "data/dataset.h"
#include "models/model.h"

namespace lockstep {

// Where a micro-batch stands: everything a loss may use for randomness besides sample ids.
struct StepContext {
  uint64_t seed = 0;  // run.seed
  int64_t step = 0;   // 0-based step that is being computed
};

// Loss of a micro-batch as a sum and a count (design rule 6): the step divides once, after all
// slots and ranks are added up.
struct Loss {
  at::Tensor sum;    // float32 scalar with a graph
  double count = 0;  // what `sum` is to be divided by
  // Predictions of this micro-batch that hit, of how many; guesses = 0: this task counts none.
  double correct = 0, guesses = 0;
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
  std::vector<double> sums;         // added up by Tree over chunks, in double, as chunks are done
  std::vector<at::Tensor> tensors;  // few and small: what pictures are drawn from (gathered on rank 0)
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
  virtual EvaluationChunk chunk(Model& model, int64_t index) const = 0;
  // On rank 0, with the sums of all chunks.
  virtual Scores scores(const std::vector<double>& sums) const = 0;
  // The same with the tensors of all chunks, in chunk order (their sums are merged and gone).
  virtual Scores scores(const std::vector<double>& sums, const std::vector<EvaluationChunk>& chunks) const { return scores(sums); }
  // For evaluations that keep results of earlier ones in files: rank 0 is asked before the first call of
  // num_chunks, and all ranks are told its answer, so that they agree on what is left to do.
  virtual bool has_kept() const { return false; }
  virtual void agree([[maybe_unused]] bool kept) const {}
  // Draws samples/step-N.png if this evaluation has something to show; false otherwise.
  virtual bool draw(const std::vector<EvaluationChunk>& chunks, const std::string& png_path) const { return false; }
};

// A flag of `lockstep sample` that a task understands, beside the common ones of SampleRequest.
struct SampleFlag {
  std::string name;  // with dashes
  bool has_value = false;
};

// What `lockstep sample RUN …` asks for.
struct SampleRequest {
  std::string output;     // --output: a file or folder; "" = none
  int64_t count = 8;      // --count: samples to draw
  uint64_t seed = 17;
  Choice sampler;         // the config's `sampler` section
  std::map<std::string, std::string> flags;  // of Task::sample_flags(), as given
  std::function<void(const std::string&)> result;  // called with each line for stdout, in order
  // Runs work(model, i) for i in [0, n) on the command's threads, each with a replica of its own,
  // gradients off and precision.compute in force; returns when all are done.
  using Work = std::function<void(Model& model, int64_t i)>;
  std::function<void(int64_t n, const Work& work)> for_each;

  bool has(const std::string& flag) const { return flags.contains(flag); }
  // The flag's value, or "".
  std::string value(const std::string& flag) const { return has(flag) ? flags.at(flag) : std::string(); }
};

class Task {
 public:
  virtual ~Task() = default;

  // A new model with initial weights from one generator seeded with `seed` (same on all ranks).
  virtual std::unique_ptr<Model> make_model(uint64_t seed) const = 0;
  // For a new run, after make_model and before `init`: takes what the task's options name from files,
  // the same on all ranks. Throws ConfigError or DataError for a file that does not fit.
  virtual void initialise(Model& model) const {}
  // Throws DataError if `dataset` lacks what the loss needs.
  virtual void check(const Dataset& dataset) const = 0;
  // Called from slot threads at once, each with its own replica. Deterministic in (weights, batch,
  // context). Rows with id −1 are padding and count nothing.
  virtual Loss loss(Model& model, const Batch& batch, const StepContext& context) const = 0;
  // Nominal count of a micro-batch of `rows` rows (a plan constant, design rule 6).
  virtual double nominal_count(int64_t rows) const = 0;
  // The evaluation that an entry of the `evaluate` list asks for. `validation` may be null if the
  // config names no validation data; throws ConfigError if the kind needs it.
  virtual std::unique_ptr<Evaluation> evaluation(const Choice& options, const Dataset* validation,
                                                 const StepContext& context) const = 0;
  // `lockstep forward`: named inputs → named outputs (design.md 5), in evaluation mode. "loss" is
  // among the outputs if the inputs define one; gradients are the caller's business.
  virtual NamedTensors forward(Model& model, const NamedTensors& inputs) const = 0;
  // `lockstep export schedule`: the constants of this task's diffusion, by upstream's names. Throws
  // ConfigError if it has none.
  virtual NamedTensors schedule_tables() const {
    throw ConfigError("task.kind names a task without a diffusion schedule", "set task.kind=image_diffusion");
  }
  // The flags of `lockstep sample` that sample() understands.
  virtual std::vector<SampleFlag> sample_flags() const { return {}; }
  // `lockstep sample`: draws from the model, or completes what the user gave. `model` is one of
  // those that request.for_each hands out. Throws DataError for an input that does not fit,
  // ConfigError for a request this task does not know.
  virtual void sample(Model& model, const SampleRequest& request) const = 0;
};

}  // namespace lockstep
