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

// `run_or_config` is one of
//   a run folder          its config with `overrides`, and its newest good checkpoint
//   a checkpoint folder   the same run's config, and this checkpoint
//   a config file         `weights` must then name a safetensors file, or be "initial"
// `weights`: "" for the averaged weights if the run keeps them; "ema" and "model" for the averaged
// and the last ones; "initial" for those that a run of this config starts from; else a safetensors
// file. Throws CheckpointError if the run has no checkpoint, ConfigError if there is no such run or
// config.
TrainedModel load_trained_model(const std::string& run_or_config, const std::string& weights,
                                const std::vector<std::string>& overrides, int64_t replicas = 1);

}  // namespace lockstep
