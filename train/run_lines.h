// The lines that a run shows to people. `log.style` chooses their form:
//
//     lockstep    a progress bar, a line with all scores for each evaluation
//     seed        the seed's trainer, byte for byte: a line an epoch, validation, checkpoints
//     seed_sweep  the seed's sweep, byte for byte: a line an evaluation
//
// metrics.jsonl has the same numbers in any style. docs/sweeps.md explains the seed's lines.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "train/step_result.h"

namespace lockstep {

// What the lines need to know of the run.
struct RunLinesSetup {
  std::string style = "lockstep";
  int64_t steps = 0;
  int64_t global_batch = 1;
  int64_t train_samples = 0;  // 0: unknown, then there are no epochs
  int64_t every_epochs = 1;
  std::optional<double> epochs;  // train.epochs, if that is given and not train.steps
  bool mixed_precision = false;  // precision.compute is not fp32
};

// One a run, on rank 0. Calls come in the order of events; each returns the lines to show.
class RunLines {
 public:
  virtual ~RunLines() = default;
  // True: a progress bar belongs to this style.
  virtual bool has_bar() const = 0;
  virtual std::vector<std::string> start() { return {}; }
  virtual std::vector<std::string> step(const StepResult& result);
  virtual std::vector<std::string> evaluation(int64_t step,
                                              const std::map<std::string, double>& scores) = 0;
  // A checkpoint is complete on disk.
  virtual std::vector<std::string> checkpoint(const std::string& path);
};

// Throws ConfigError for an unknown style.
std::unique_ptr<RunLines> make_run_lines(const RunLinesSetup& setup);

}  // namespace lockstep
