// Decides where a command's weights come from. A run folder gives the averaged weights of its
// newest good checkpoint, since those are what evaluations have scored.
#include "train/trained_model.h"

#include "core/files.h"
#include "core/run_folder.h"
#include "tensor/cuda_plugin.h"
#include "tensor/safetensors.h"
#include "train/checkpoint.h"
#include "train/open_device.h"

namespace lockstep {
namespace {

// The checkpoint that `path` means: a checkpoint folder itself, or the newest good one of a run.
fs::path checkpoint_of(const fs::path& path) {
  if (fs::exists(path / "MANIFEST.json")) return path;
  const RunFolder folder = RunFolder::find(path);
  const auto newest = newest_good_checkpoint(folder);
  if (!newest)
    throw CheckpointError("the run has no checkpoint yet",
                          "train it first: lockstep resume " + folder.root.string(),
                          {folder.checkpoints().string(), 0, 0, ""});
  return *newest;
}

// The weights that `weights` ("ema", "model" or "") means.
NamedTensors weights_of(CheckpointContent& content, const std::string& weights,
                        const fs::path& checkpoint, std::string& which) {
  if (weights == "ema" && content.ema.empty())
    throw ConfigError("the run keeps no averaged weights: " + checkpoint.string() + " has none",
                      "use --weights model");
  which = weights.empty() ? (content.ema.empty() ? "model" : "ema") : weights;
  return std::move(which == "ema" ? content.ema : content.model);
}

}  // namespace

TrainedModel load_trained_model(const std::string& run_or_config, const std::string& weights,
                                const std::vector<std::string>& overrides, int64_t replicas) {
  TrainedModel out;
  NamedTensors values;
  std::string config = run_or_config;
  const bool by_name = weights.empty() || weights == "ema" || weights == "model";
  if (run_or_config != "-" && !fs::exists(run_or_config))
    throw ConfigError("there is no run, checkpoint or config '" + run_or_config + "'",
                      "lockstep runs lists the runs");
  if (run_or_config != "-" && fs::is_directory(run_or_config)) {
    const fs::path checkpoint = checkpoint_of(fs::canonical(run_or_config));
    config = (checkpoint.parent_path().parent_path() / "config.yaml").string();
    if (by_name) {
      CheckpointContent content = load_checkpoint(checkpoint);
      values = weights_of(content, weights, checkpoint, out.which);
      out.step = content.state.step;
      out.source = checkpoint.string();
    }
  } else if (by_name) {
    throw ConfigError("a config alone has no weights",
                      "give a run folder, or --weights FILE.safetensors");
  }
  const bool initial = weights == "initial";
  if (initial) {
    out.source = config;
    out.which = weights;
  } else if (!by_name) {
    values = load_safetensors(weights);
    out.source = weights;
    out.which = "file";
  }
  out.loaded = load_config(config, overrides);
  out.task = out.loaded.kinds->tasks.make(out.loaded.config->task);
  const bool gpu = out.loaded.config->run.device != DeviceKind::kCpu && cuda_plugin_is_open();
  out.device = device_of_process(gpu ? DeviceKind::kCuda : DeviceKind::kCpu,
                                 out.loaded.config->precision.tf32);
  if (gpu) replicas = 1;  // a GPU's cores work on one batch at a time
  for (int64_t i = 0; i < replicas; ++i) {
    out.replicas.push_back(
        out.task->make_model(static_cast<uint64_t>(out.loaded.config->run.seed)));
    if (initial) {
      out.task->initialise(*out.replicas.back());
    } else {
      out.replicas.back()->load(values, out.source);
    }
    if (gpu) out.replicas.back()->to(out.device->where());
  }
  return out;
}

}  // namespace lockstep
