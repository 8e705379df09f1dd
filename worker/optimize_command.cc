// `optimize`: an optimizer on parameters and gradients from a file (design.md 5).
#include "core/errors.h"
#include "core/files.h"
#include "optim/optimize.h"
#include "tensor/cuda_plugin.h"
#include "tensor/safetensors.h"
#include "train/open_device.h"
#include "train/plan/run_config.h"
#include "worker/arguments.h"
#include "worker/commands.h"

namespace lockstep {

int optimize_command(const Words& words) {
  const Arguments arguments(words, {{"--inputs", true}, {"--output", true}});
  arguments.no_positionals();
  const LoadedConfig loaded = load_config("-", arguments.overrides());
  const RunConfig& config = *loaded.config;
  const NamedTensors inputs = load_safetensors(arguments.required("--inputs", "optimize"));
  const std::string output = arguments.required("--output", "optimize");

  OptimizeSettings settings;
  settings.optimizer = config.optimizer;
  settings.schedule = config.schedule;
  if (config.train.clip_norm > 0) settings.clip_norm = config.train.clip_norm;
  settings.ema = config.train.ema;
  settings.total_steps = config.train.steps.value_or(0);
  settings.epochs = static_cast<int64_t>(config.train.epochs.value_or(0));
  const auto device =
      device_of_process(cuda_plugin_is_open() ? DeviceKind::kCuda : DeviceKind::kCpu);
  const NamedTensors outputs =
      device->is_cpu() ? optimize(inputs, settings) : optimize_on_device(inputs, settings, *device);
  write_atomic(output, [&](const fs::path& path) { save_safetensors(path, outputs); });
  return 0;
}

}  // namespace lockstep
