// `plan`: what would happen, without running anything (except making data, if asked to).
#include <cstdio>

#include "core/errors.h"
#include "core/log.h"
#include "train/prepare.h"
#include "worker/arguments.h"
#include "worker/commands.h"

namespace lockstep {

int plan_command(const Words& words) {
  const Arguments arguments(words, {{"--prepare"},
                                    {"--resume"},
                                    {"--json"},
                                    {"--run-folder", true},
                                    {"--dry-run", true},
                                    {"--nodes", true},
                                    {"--ranks", true},
                                    {"--cores", true},
                                    {"--gpus", true}});
  std::vector<std::string> overrides = arguments.overrides();
  if (const auto ranks = arguments.integer("--ranks"))
    overrides.push_back("launch.ranks_per_node=" + std::to_string(*ranks));
  if (const auto nodes = arguments.integer("--nodes"))
    overrides.push_back("launch.nodes=" + std::to_string(*nodes));

  PrepareOptions options;
  options.make_data = arguments.has("--prepare");
  options.dry_run_steps = arguments.integer("--dry-run");
  if (options.dry_run_steps && *options.dry_run_steps < 1)
    throw ConfigError("--dry-run needs at least one step");
  if (arguments.has("--cores") || arguments.has("--gpus")) {
    options.machine = probe_machine();
    options.machine->cores = arguments.integer("--cores").value_or(options.machine->cores);
    if (arguments.has("--gpus")) {
      options.machine->gpus = *arguments.integer("--gpus");
      options.machine->gpu_problem = options.machine->gpus == 0 ? "--gpus 0 was given" : "";
    }
  }

  std::string run_folder = arguments.value("--run-folder").value_or("");
  Prepared prepared;
  if (arguments.has("--resume")) {
    const RunFolder folder = RunFolder::find(arguments.one_positional("run folder"));
    run_folder = folder.root.string();
    prepared = prepare_resume(folder, overrides, options);
  } else {
    prepared = prepare_run(arguments.one_positional("config"), overrides, options);
  }
  const bool for_people =
      !arguments.has("--json") && !arguments.has("--prepare") && !arguments.has("--resume");
  std::puts(for_people ? explain(prepared.plan, *prepared.loaded.config).c_str()
                       : plan_line(prepared, run_folder).c_str());
  return 0;
}

}  // namespace lockstep
