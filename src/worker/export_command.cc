// `export`: what other programs read.
#include "core/errors.h"
#include "core/files.h"
#include "tensor/safetensors.h"
#include "train/run_config.h"
#include "worker/arguments.h"
#include "worker/commands.h"

namespace lockstep {
namespace {

// The constants of a diffusion's noise schedule.
int export_schedule(const Arguments& arguments, const std::string& config) {
  const std::string output = arguments.required("--output", "export schedule");
  const LoadedConfig loaded = load_config(config, arguments.overrides());
  const NamedTensors tables = with_place_of_keys(loaded.sources, config, [&] {
    return loaded.kinds->tasks.make(loaded.config->task)->schedule_tables();
  });
  write_atomic(output, [&](const fs::path& path) { save_safetensors(path, tables); });
  return 0;
}

}  // namespace

int export_command(const Words& words) {
  const Arguments arguments(words, {{"--output", true}});
  const std::vector<std::string>& what = arguments.positionals();
  if (what.size() != 2 || what[0] != "schedule")
    throw ConfigError("export needs what to export, and a config", "lockstep export schedule CONFIG --output S.safetensors");
  return export_schedule(arguments, what[1]);
}

}  // namespace lockstep
