#include "train/trained_model.h"

#include "core/files.h"
#include "core/run_folder.h"
#include "tensor/safetensors.h"
#include "train/checkpoint.h"

namespace lockstep {
namespace {

// The checkpoint that `path` means: a checkpoint folder itself, or the newest good one of a run.
fs::path checkpoint_of(const fs::path& path) {
  if (fs::exists(path / "MANIFEST.json")) return path;
  const RunFolder folder = RunFolder::find(path);
  const auto newest = newest_good_checkpoint(folder);
  if (!newest)
    throw CheckpointError("the run has no checkpoint yet", "train it first: lockstep resume " + folder.root.string(),
                          {folder.checkpoints().string(), 0, 0, ""});
  return *newest;
}

}  // namespace

TrainedModel load_trained_model(const std::string& run_or_config, const std::string& weights,
                                const std::vector<std::string>& overrides, int64_t replicas) {
  TrainedModel out;
  NamedTensors values;
  std::string config = run_or_config;
  if (run_or_config != "-" && fs::is_directory(run_or_config)) {
    const fs::path checkpoint = checkpoint_of(fs::canonical(run_or_config));
    config = (checkpoint.parent_path().parent_path() / "config.yaml").string();
    if (weights.empty()) {
      CheckpointContent content = load_checkpoint(checkpoint);
      values = content.ema.empty() ? content.model : content.ema;
      out.step = content.state.step;
      out.source = checkpoint.string();
    }
  } else if (weights.empty()) {
    throw ConfigError("a config alone has no weights", "give a run folder, or --weights FILE.safetensors");
  }
  if (!weights.empty()) {
    values = load_safetensors(weights);
    out.source = weights;
  }
  out.loaded = load_config(config, overrides);
  out.task = out.loaded.kinds->tasks.make(out.loaded.config->task);
  for (int64_t i = 0; i < replicas; ++i) {
    out.replicas.push_back(out.task->make_model(static_cast<uint64_t>(out.loaded.config->run.seed)));
    out.replicas.back()->load(values, out.source);
  }
  return out;
}

}  // namespace lockstep
