// From a config (or a run folder) to a plan: what `lockstep plan` prints and what the launcher
// asks for before it starts ranks.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/run_folder.h"
#include "train/plan/run_config.h"
#include "train/plan/run_plan.h"

namespace lockstep {

struct PrepareOptions {
  bool make_data = false;                // make missing files (`data.make`), with progress
  std::optional<int64_t> dry_run_steps;  // plan only so many steps
  std::optional<Machine> machine;        // nothing: this one
};

struct Prepared {
  LoadedConfig loaded;
  RunPlan plan;
  std::string config_yaml;  // resolved, each value's source as a comment
};

// A new run. Writes nothing but the data that `make_data` makes. Throws ConfigError, DataError
// (missing files), EnvironmentError.
Prepared prepare_run(const std::string& config_path, const std::vector<std::string>& overrides,
                     const PrepareOptions& options);

// A run that goes on. `overrides` may change what leaves the results alone (design rule 16), and
// train.steps under a constant schedule. Anything else is a ConfigError, which prints the `init`
// command for a new run.
Prepared prepare_resume(const RunFolder& folder, const std::vector<std::string>& overrides,
                        const PrepareOptions& options);

// The plan as one JSON line with "config_yaml", "explain" and "run_folder" added.
std::string plan_line(const Prepared& prepared, const std::string& run_folder);

}  // namespace lockstep
