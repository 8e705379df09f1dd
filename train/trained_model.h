// A model from a run, a checkpoint or a weights file, for commands that use one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "tasks/task.h"
#include "tensor/device.h"
#include "train/plan/run_config.h"

namespace lockstep {

struct TrainedModel {
  LoadedConfig loaded;
  std::unique_ptr<Task> task;
  std::unique_ptr<Device> device;                // where the replicas lie
  std::vector<std::unique_ptr<Model>> replicas;  // equal weights, one per thread; one on a GPU
  int64_t step = 0;
  std::string source;  // what the weights were read from
  std::string which;   // "ema", "model", "initial" or "file"
};

// `run_or_config`: a run folder (or checkpoint folder in one): averaged weights of the newest good
// checkpoint, its config with `overrides`; or a config file, then `weights` names a safetensors
// file. `weights` given: those instead; "ema" and "model" are the averaged and the last ones of the
// run, "initial" those that a run of this config starts from. Throws CheckpointError if the run has
// no checkpoint, ConfigError if there is no such run or config.
TrainedModel load_trained_model(const std::string& run_or_config, const std::string& weights,
                                const std::vector<std::string>& overrides, int64_t replicas = 1);

}  // namespace lockstep
