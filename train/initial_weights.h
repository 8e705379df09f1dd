// `init`: a new run that starts from the weights of another one, a checkpoint or a file.
#pragma once

#include <string>
#include <vector>

#include "models/model.h"
#include "train/plan/run_config.h"

namespace lockstep {

// What was taken from where, for the log and for people who wonder.
struct InitReport {
  std::vector<std::string> taken, skipped, missing;  // names in the file; names of the model
  std::string source;
  std::string text() const;
};

// Copies weights into `model` as `options` asks. The part "ema" takes the averaged weights instead
// of the last ones. The part "optimizer" puts the optimizer's tensors, with mapped names, into
// `optimizer_state` for the caller to load. Throws ConfigError if `strict` is set and a tensor is
// missing, unknown or of another shape.
InitReport apply_initial_weights(const InitOptions& options, Model& model,
                                 NamedTensors* optimizer_state);

}  // namespace lockstep
