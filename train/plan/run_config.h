// The run's config: every section of the YAML file as a typed struct.
//
// Read once, then frozen. What the config leaves to the program (`auto`) is decided in the
// RunPlan, never here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/config/config_node.h"
#include "core/config/fields.h"
#include "core/config/run_words.h"
#include "ddp/ddp_options.h"
#include "optim/ema.h"
#include "optim/loss_scale.h"
#include "train/plan/kinds.h"

namespace lockstep {

struct RunOptions {
  std::string name = "run";
  std::string folder = "runs";
  int64_t seed = 17;
  DeviceKind device = DeviceKind::kAuto;
  std::string cpu_isa = "native";
  std::vector<std::string> plugins;
  void fields(FieldVisitor& visit);
};

struct InitOptions {
  std::string from;  // run folder, checkpoint folder or .safetensors; "" = fresh weights
  std::vector<std::string> parts = {"model"};
  std::vector<std::string> map;  // "OLD_PREFIX=NEW_PREFIX"
  bool strict = true;
  void fields(FieldVisitor& visit);
};

struct LaunchOptions {
  int64_t nodes = 1;
  Auto<int64_t> ranks_per_node;
  Auto<int64_t> threads_per_rank;
  std::string with = "auto";
  int64_t max_restarts = 3;
  void fields(FieldVisitor& visit);
};

struct PrecisionOptions {
  Compute compute = Compute::kFp32;  // train/precision.h
  bool tf32 = false;                 // on GPUs: products of float32 in TF32
  LossScaleOptions loss_scale;       // of the float16 kinds
  void fields(FieldVisitor& visit);
};

struct StepOptions {
  GraphUse graph = GraphUse::kAuto;
  void fields(FieldVisitor& visit);
};

struct DataOptions {
  std::string kind = "arrays";
  std::vector<std::string> train;  // file patterns
  std::vector<std::string> validation;
  Auto<int64_t> threads;
  int64_t prefetch_batches = 4;
  Choice make;                           // how to make the files if they are missing
  std::vector<std::string> known_kinds;  // rows of the table of datasets
  void fields(FieldVisitor& visit);
};

struct TrainOptions {
  std::optional<int64_t> steps;
  std::optional<double> epochs;
  int64_t global_batch = 16;
  Auto<int64_t> micro_batch;
  double clip_norm = 0;  // 0 = no clipping
  EmaOptions ema;
  void fields(FieldVisitor& visit);
};

struct CheckpointOptions {
  int64_t every_steps = 1000;
  int64_t keep = 3;
  std::string keep_best;  // name of a score; "" = none
  bool asynchronous = true;
  void fields(FieldVisitor& visit);
};

struct LogOptions {
  int64_t every_steps = 10;
  std::string style = "lockstep";
  std::string profile_steps;  // see train/profile.h; "" = none
  int64_t every_epochs = 1;
  void fields(FieldVisitor& visit);
};

struct RunConfig {
  explicit RunConfig(const Kinds& kinds);

  RunOptions run;
  InitOptions init;
  LaunchOptions launch;
  DdpOptions ddp;
  PrecisionOptions precision;
  StepOptions step;
  DataOptions data;
  Choice task;
  Choice optimizer;
  Choice schedule;
  Choice sampler;  // what `lockstep sample` draws images with
  TrainOptions train;
  CheckpointOptions checkpoint;
  std::vector<Choice> evaluate;
  LogOptions log;

  void fields(FieldVisitor& visit);

 private:
  const Kinds* kinds_;
};

// A config with what is needed to print and explain it.
struct LoadedConfig {
  std::unique_ptr<Kinds> kinds;
  std::unique_ptr<RunConfig> config;
  Sources sources;
};

// Reads `path` ("-": defaults only), applies overrides, opens plug-ins, reads and checks all
// fields and what spans several of them. Throws ConfigError with place.
LoadedConfig load_config(const std::string& path, const std::vector<std::string>& overrides);

// The dataset of `patterns` (data.train or data.validation) of the config's kind. Throws DataError.
std::unique_ptr<Dataset> open_data(const Kinds& kinds, const RunConfig& config,
                                   const std::vector<std::string>& patterns);

// For with_place_of_keys.
Place place_of_keys(const Sources& sources, const Error& error, const std::string& path);

// Runs `body`; an Error that leaves it without a place points to the first key in its words that
// the config or the command line gives, a ConfigError without such a key to the file `path`.
template <class Body>
auto with_place_of_keys(const Sources& sources, const std::string& path, Body&& body)
    -> decltype(body()) {
  try {
    return body();
  } catch (Error& error) {
    error.set_place(place_of_keys(sources, error, path));
    throw;
  }
}

}  // namespace lockstep
